// The identity check sees every kind of damage, calls nothing damage that is none, and stops what it concerns.
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { setBudget } from '../../db/budget.ts'
import { openWallet } from '../../db/identity.ts'
import { readMoneyStops } from '../../db/ledger-audit.ts'
import { checkLedger, haltFor } from '../../gateway/ledger-audit.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { connectLedgerFacts, type LedgerFacts } from '../support/ledger-facts.ts'

let database: TestDatabase
let ledger: LedgerFacts
let wallet: bigint
let held: string
beforeAll(async () => {
  database = await createTestDatabase()
  ledger = await connectLedgerFacts(database.url)
  const address = `0x${randomBytes(20).toString('hex')}`
  wallet = await openWallet(database.pool, address)
  await ledger.fund(address, 1_000n)
  await setBudget(
    database.pool,
    { walletId: wallet, kind: 'wallet', subject: 'me', period: 'daily' },
    { limitMicros: 5_000n, budgetsMax: 9 },
  )
  held = await holds(100)
  await posts(await holds(50), 20)
  await posts(await holds(50), 90)
  await ask("SELECT ledger_void(gen_random_uuid(), $1, 12::smallint, '{}') AS answer", [await holds(5)])
})
afterAll(async () => {
  await ledger[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const ask = async (sql: string, values: unknown[]) =>
  String((await database.pool.query<{ answer: string }>(sql, values)).rows[0]?.answer)
async function holds(micros: number): Promise<string> {
  const id = randomUUID()
  const sql = "SELECT ledger_hold($1, $2, 2, $3, 10::smallint, 'a', 'w', '{}') AS answer"
  expect(await ask(sql, [id, wallet, micros])).toBe('ok')
  return id
}
const posts = (id: string, micros: number) =>
  ask("SELECT ledger_post(gen_random_uuid(), $1, $2, 10::smallint, '{}', gen_random_uuid()) AS answer", [id, micros])
const account = (code: string) => `wallet_account(${wallet}, '${code}')`
const kinds = async () => [...new Set((await checkLedger(database.pool)).faults.map((fault) => fault.kind))].toSorted()

test('a ledger that was only used is clean', async () => {
  expect(await checkLedger(database.pool)).toEqual({ wallets: 1, faults: [] })
})

// Damage as only the owner of the schema could do it, undone by its own reverse.
test.each([
  [
    'a balance that no row explains',
    ['drift', 'formula', 'totals'],
    'UPDATE account SET credits_posted = credits_posted + 1 WHERE id = USER',
    'UPDATE account SET credits_posted = credits_posted - 1 WHERE id = USER',
  ],
  [
    'a row whose amount was changed',
    ['budget', 'drift', 'formula', 'tampered', 'totals'],
    'UPDATE transfer SET amount = amount + 1 WHERE id = HELD',
    'UPDATE transfer SET amount = amount - 1 WHERE id = HELD',
  ],
  [
    'a bucket that counts otherwise',
    ['budget'],
    'UPDATE budget_bucket SET spent = spent + 1',
    'UPDATE budget_bucket SET spent = spent - 1',
  ],
  [
    'a day that does not add up',
    ['budget'],
    "UPDATE budget_bucket SET spent = spent + 1 WHERE day <> '-infinity'",
    "UPDATE budget_bucket SET spent = spent - 1 WHERE day <> '-infinity'",
  ],
  [
    'a hold of no live work after a day',
    ['stale-hold'],
    "UPDATE transfer SET at = at - interval '25 hours' WHERE id = HELD",
    "UPDATE transfer SET at = at + interval '25 hours' WHERE id = HELD",
  ],
])('sees %s', async (...[, expected, damage, undo]) => {
  const run = (sql: string) => ledger.query(sql.replace('USER', account('user')).replace('HELD', `'${held}'`))
  await ledger.query('ALTER TABLE transfer DISABLE TRIGGER transfer_append_only')
  await run(damage)
  const seen = await kinds()
  await run(undo)
  await ledger.query('ALTER TABLE transfer ENABLE TRIGGER transfer_append_only')
  expect(seen).toEqual(expected)
  expect(await kinds()).toEqual([])
})

test('says nothing false while money moves', async () => {
  const moving = new AbortController()
  const traffic = Array.from({ length: 6 }, async () => {
    while (!moving.signal.aborted) await posts(await holds(1), 0)
  })
  const wrong: unknown[] = []
  for (let round = 0; round < 15; round += 1) wrong.push(...(await checkLedger(database.pool)).faults)
  moving.abort()
  await Promise.all(traffic)
  expect(wrong).toEqual([])
})

test('what does not hold stops the money it concerns, once', async () => {
  const faults = [
    { kind: 'drift', walletId: wallet, detail: 'user' },
    { kind: 'formula', walletId: wallet, detail: '1' },
    { kind: 'totals', walletId: null, detail: 'usdc' },
  ] as const
  expect((await haltFor(database.pool, faults)).map(({ kind }) => kind)).toEqual(['drift', 'totals'])
  expect(await haltFor(database.pool, faults)).toEqual([])
  const { rows } = await database.pool.query(
    "SELECT intent->>'action' AS action, intent->>'tenant' AS tenant FROM audit_pending",
  )
  expect(rows).toEqual([1, 2].map(() => ({ action: 'money.stop', tenant: 'installation' })))
  expect(await readMoneyStops(database.pool, 9)).toMatchObject([
    { walletId: wallet, reason: 'drift: user' },
    { walletId: null, reason: 'totals: usdc' },
  ])
})
