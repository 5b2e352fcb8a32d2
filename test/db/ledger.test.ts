// Properties of the ledger's SQL functions: whatever is sent, however often, at once or in turn, nothing is created, lost,
// negative or resolved twice.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { uuidV5 } from '../../crypto/uuid.ts'
import { openWallet } from '../../db/identity.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { connectLedgerFacts, type LedgerFacts } from '../support/ledger-facts.ts'

let database: TestDatabase
let facts: LedgerFacts

beforeAll(async () => {
  database = await createTestDatabase()
  facts = await connectLedgerFacts(database.url)
})
afterAll(async () => {
  await facts[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

let wallets = 0
async function newWallet(amount: bigint): Promise<{ id: bigint; address: string }> {
  wallets += 1
  const address = `0x${wallets.toString(16).padStart(40, '0')}`
  const id = await openWallet(database.pool, address)
  if (amount > 0n) await facts.fund(address, amount)
  return { id, address }
}

const one = async (sql: string, values: unknown[]) =>
  String((await database.pool.query<{ answer: string }>(sql, values)).rows[0]?.answer)
const hold = (id: string, wallet: bigint, amount: bigint) =>
  one("SELECT ledger_hold($1, $2, 2, $3, 10::smallint, 'a', 'w', '{}') AS answer", [id, wallet, amount])
const post = (id: string, pending: string, amount: bigint) =>
  one("SELECT ledger_post($1, $2, $3, 10::smallint, '{}', $4) AS answer", [id, pending, amount, uuidV5(`excess:${id}`)])
const voided = (id: string, pending: string) =>
  one("SELECT ledger_void($1, $2, 12::smallint, '{}') AS answer", [id, pending])

test('the application can neither rewrite history nor write the ledger past its functions', async () => {
  for (const sql of [
    'UPDATE transfer SET amount = 0',
    'DELETE FROM transfer',
    'TRUNCATE transfer',
    'UPDATE account SET credits_posted = 1',
    'DELETE FROM audit_record',
    "SELECT ledger_write(gen_random_uuid(), 'posted', 1, 2, 5, NULL, 1::smallint, NULL, NULL, NULL)",
  ]) {
    await expect(database.pool.query(sql)).rejects.toThrow(/permission denied/)
  }
  await expect(facts.query('UPDATE transfer SET amount = 0')).rejects.toThrow(/append-only/)
})

test('eight identical holds at once on money for one are one hold, and none says that money is missing', async () => {
  for (let round = 0; round < 20; round += 1) {
    const wallet = await newWallet(100n)
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => hold(uuidV5(`same-${wallet.id}`), wallet.id, 100n)),
    )
    expect(answers.toSorted()).toEqual([...Array.from({ length: 7 }, () => 'exists'), 'ok'])
  }
})

test('the same id with another body is told apart', async () => {
  const wallet = await newWallet(100n)
  const id = uuidV5(`body-${wallet.id}`)
  expect(await hold(id, wallet.id, 10n)).toBe('ok')
  expect(await hold(id, wallet.id, 11n)).toBe('exists_different')
})

test('two hundred holds at once with money for fifty: fifty pass', async () => {
  const wallet = await newWallet(5_000n)
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_none, index) => hold(uuidV5(`many-${wallet.id}-${index}`), wallet.id, 100n)),
  )
  expect(answers.filter((answer) => answer === 'ok')).toHaveLength(50)
  expect(answers.filter((answer) => answer === 'insufficient')).toHaveLength(150)
  expect(await facts.available(wallet.address)).toBe(0n)
})

test('a cost beyond the hold is never lost: from the wallet, else from its receivable, once', async () => {
  const wallet = await newWallet(100n)
  const id = uuidV5(`over-${wallet.id}`)
  await hold(id, wallet.id, 80n)
  expect(await post(uuidV5('p1'), id, 150n)).toBe('ok')
  expect(await post(uuidV5('p1'), id, 150n)).toBe('exists')
  expect(await facts.available(wallet.address)).toBe(20n) // 80 of the hold; the other 70 do not fit
  const [receivable] = await facts.query(
    "SELECT debits_posted::text AS owed FROM account a JOIN wallet w ON w.id = a.wallet_id WHERE w.address = $1 AND a.code = 'receivable'",
    [wallet.address],
  )
  expect(receivable).toEqual({ owed: '70' })
})

test('random batches of holds, posts and voids with colliding ids leave no fault', async () => {
  const poor = await newWallet(1_000n)
  const rich = await newWallet(1_000_000n)
  const operation = fc.record({
    op: fc.constantFrom('hold', 'post', 'void'),
    wallet: fc.constantFrom(poor.id, rich.id),
    hold: fc.integer({ min: 0, max: 12 }), // few ids, so that they collide
    id: fc.integer({ min: 0, max: 3 }),
    amount: fc.bigInt({ min: 0n, max: 400n }),
  })
  let salt = 0
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 12 }), async (batch) => {
      salt += 1
      const name = (text: string) => uuidV5(`${Math.floor(salt / 4)}-${text}`)
      await Promise.all(
        batch.map((each) => {
          const pending = name(`hold-${each.hold}`)
          if (each.op === 'hold') return hold(pending, each.wallet, each.amount)
          const id = name(`${each.op}-${each.hold}-${each.id}`)
          return each.op === 'post' ? post(id, pending, each.amount) : voided(id, pending)
        }),
      )
      expect(await facts.faults()).toEqual([])
    }),
    { numRuns: 60 },
  )
})
