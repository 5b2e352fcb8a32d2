// What somebody could do to money and evidence who speaks as the application, whatever its code does: nothing that the
// functions do not offer, and nothing by what they are told.
import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openWallet } from '../../db/identity.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { connectLedgerFacts, type LedgerFacts } from '../support/ledger-facts.ts'

const login = `app_${randomBytes(6).toString('hex')}`
let database: TestDatabase
let ledger: LedgerFacts
let hostile: pg.Client
let [rich, poor] = [0n, 0n]
const addresses = [0, 1].map(() => `0x${randomBytes(20).toString('hex')}`) as [string, string]

// A login of its own that is a member of the application role: there is no owner behind it to go back to.
beforeAll(async () => {
  database = await createTestDatabase()
  ledger = await connectLedgerFacts(database.url)
  rich = await openWallet(database.pool, addresses[0])
  poor = await openWallet(database.pool, addresses[1])
  await ledger.fund(addresses[0], 1_000n)
  await ledger.query(`CREATE ROLE ${login} LOGIN PASSWORD 'hostile' IN ROLE gatehouse_app`)
  await ledger.query("INSERT INTO audit_head (tenant, seq, sha256) VALUES ('t', 7, 'seven')")
  hostile = new pg.Client({ connectionString: database.url.replace(/\/\/[^@/]*@/, `//${login}:hostile@`) })
  await hostile.connect()
  await hostile.query('SET ROLE gatehouse_app')
})
afterAll(async () => {
  await hostile.end()
  await ledger.query(`DROP ROLE ${login}`)
  await ledger[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const ask = async (sql: string, values: unknown[] = []) =>
  String((await hostile.query<{ answer: unknown }>(sql, values)).rows[0]?.answer)
const holdOn = "SELECT ledger_hold($1, $2, $3, $4, 10::smallint, 'a', 'w', '{}') AS answer"

const columns: Readonly<Record<string, string>> = {
  transfer: 'amount',
  account: 'credits_posted',
  budget: 'limit_micros',
  budget_bucket: 'spent',
  wallet: 'faucet_at',
  money_stop: 'lifted_at',
}
const written = Object.keys(columns)
test.each(written)('%s is read, never written, changed, deleted or truncated', async (table) => {
  const change = `UPDATE ${table} SET ${columns[table]} = NULL`
  for (const sql of [`INSERT INTO ${table} DEFAULT VALUES`, change, `DELETE FROM ${table}`, `TRUNCATE ${table}`])
    await expect(hostile.query(sql)).rejects.toThrow('permission denied')
})

test('no table of money or evidence may be updated, deleted from or truncated, by the catalogue', async () => {
  const rows = await ledger.query(
    `SELECT t.name || ' ' || p.privilege AS granted FROM unnest($1::text[]) t(name), unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) p(privilege)
     WHERE has_table_privilege('gatehouse_app', t.name, p.privilege)`,
    [[...written, 'audit_record', 'audit_head']],
  )
  expect(rows.map((row) => row['granted'])).toEqual(['audit_head UPDATE']) // forward only, by a trigger
})

test.each([
  'UPDATE audit_record SET body = 1',
  'DELETE FROM audit_record',
  'TRUNCATE audit_record',
  'DELETE FROM audit_head',
])('evidence: the application may not %s', async (sql) => {
  await expect(hostile.query(sql)).rejects.toThrow('permission denied')
})

test('the head of a chain moves forward only', async () => {
  await expect(hostile.query("UPDATE audit_head SET seq = 6 WHERE tenant = 't'")).rejects.toThrow('only moves forward')
  await expect(hostile.query("UPDATE audit_head SET sha256 = 'x' WHERE tenant = 't'")).rejects.toThrow('forward')
  await expect(hostile.query("UPDATE audit_head SET tenant = 'u' WHERE tenant = 't'")).rejects.toThrow('forward')
})

test('money never moves between wallets, nor to an account that is no revenue', async () => {
  const ids = await ledger.query("SELECT id FROM account WHERE wallet_id IN ($1, $2) OR code = 'treasury'", [
    rich,
    poor,
  ])
  expect(ids).toHaveLength(7)
  for (const { id } of ids)
    await expect(ask(holdOn, [randomUUID(), rich, id, 10]).catch((error: Error) => error.message)).resolves.toMatch(
      /not_allowed/,
    )
  expect(await ledger.available(addresses[0])).toBe(1_000n)
})

test('amounts that are negative, missing or too large write nothing', async () => {
  const id = randomUUID()
  await expect(ask(holdOn, [id, rich, 2, -10])).rejects.toThrow('check constraint')
  await expect(ask(holdOn, [id, rich, 2, null])).rejects.toThrow('null')
  await expect(ask(holdOn, [id, rich, 2, 9_223_372_036_854_775_807n])).resolves.toBe('insufficient')
  await expect(ask(holdOn, [id, rich + 99_999n, 2, 1])).resolves.toBe('not_allowed')
  await expect(ask(holdOn, [id, rich, 2, 100])).resolves.toBe('ok')
  const post = "SELECT ledger_post($1, $2, $3, 10::smallint, '{}', $4) AS answer"
  await expect(ask(post, [randomUUID(), id, -5, randomUUID()])).rejects.toThrow('check constraint')
  await expect(ask("SELECT ledger_void($1, $2, 12::smallint, '{}') AS answer", [randomUUID(), id])).resolves.toBe('ok')
  expect(await ledger.faults()).toEqual([])
})

test('play money is bounded, whoever asks', async () => {
  await expect(ask('SELECT faucet_fund($1, $2, $3) AS answer', [randomUUID(), poor, 100_000_001])).resolves.toBe(
    'not_allowed',
  )
})

test.each([
  "SELECT ledger_write(gen_random_uuid(), 'posted', 1, 2, 1, NULL, 1::smallint, NULL, NULL, '{}')",
  'SELECT budget_move(t, 0, -1) FROM transfer t LIMIT 1',
  "SELECT money_resume(NULL, 'me')",
])('%s is not for the application', async (sql) => {
  await expect(hostile.query(sql)).rejects.toThrow('permission denied')
})

// The copy of a template keeps no rights on the database itself, so that temporary tables are there to be tried.
test('temporary tables and schemas of the caller deceive no function', async () => {
  await hostile.query('CREATE TEMP TABLE account AS SELECT * FROM public.account')
  await hostile.query('UPDATE pg_temp.account SET credits_posted = 1000000')
  await hostile.query('CREATE TEMP TABLE money_stop AS SELECT * FROM public.money_stop')
  await hostile.query('SET search_path = pg_temp, public')
  try {
    const hold = holdOn.replace('ledger_hold', 'public.ledger_hold')
    await expect(ask(hold, [randomUUID(), poor, 2, 5])).resolves.toBe('insufficient')
    // The trick is a real one: it works on a function that does not name where temporary tables come.
    const ledgerWrite = 'ALTER FUNCTION ledger_write SET search_path = public'
    await ledger.query(ledgerWrite)
    await hostile.query('BEGIN')
    await expect(ask(hold, [randomUUID(), poor, 2, 5])).resolves.toBe('ok')
    await hostile.query('ROLLBACK')
    await ledger.query(`${ledgerWrite}, pg_temp`)
  } finally {
    await hostile.query('RESET search_path; DROP TABLE pg_temp.account, pg_temp.money_stop')
  }
})

test('every function that runs as its owner names where it looks, temporary tables last', async () => {
  const astray = await ledger.query(
    `SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
       AND NOT coalesce('search_path=public, pg_temp' = ANY (proconfig), false)`,
  )
  expect(astray).toEqual([])
})

test('while money is stopped holds are refused, and what was held is posted or voided', async () => {
  const [first, second] = [randomUUID(), randomUUID()]
  for (const id of [first, second]) await expect(ask(holdOn, [id, rich, 2, 100])).resolves.toBe('ok')
  await expect(ask("SELECT money_halt($1, 'drift') AS answer", [rich])).resolves.toBe('true')
  await expect(ask("SELECT money_halt($1, 'drift') AS answer", [rich])).resolves.toBe('false')
  await expect(ask(holdOn, [randomUUID(), rich, 2, 1])).resolves.toBe('stopped')
  await expect(ask(holdOn, [first, rich, 2, 100])).resolves.toBe('exists')
  const post = "SELECT ledger_post($1, $2, $3, 10::smallint, '{}', $4) AS answer"
  await expect(ask(post, [randomUUID(), first, 150, randomUUID()])).resolves.toBe('ok')
  await expect(ask("SELECT ledger_void($1, $2, 12::smallint, '{}') AS answer", [randomUUID(), second])).resolves.toBe(
    'ok',
  )
  await ledger.query("SELECT money_resume($1, 'test')", [rich])
  await expect(ask(holdOn, [randomUUID(), rich, 2, 1])).resolves.toBe('ok')
  await ledger.query("SELECT money_halt(NULL, 'totals')")
  await expect(ask(holdOn, [randomUUID(), rich, 2, 1])).resolves.toBe('stopped')
  await ledger.query("SELECT money_resume(NULL, 'test')")
  expect(await ledger.available(addresses[0])).toBe(849n)
  expect(await ledger.faults()).toEqual([])
})
