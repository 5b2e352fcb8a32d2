// Budgets in the ledger's own call: whatever comes at once, none is passed, and what counts equals the transfers.
import fc from 'fast-check'
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { budgetOver, dropBudget, listBudgets, setBudget, type BudgetKey } from '../../db/budget.ts'
import { openWallet } from '../../db/identity.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { connectLedgerFacts, type LedgerFacts } from '../support/ledger-facts.ts'

let database: TestDatabase
let ledger: LedgerFacts
let wallet: bigint
let address: string

beforeAll(async () => {
  database = await createTestDatabase()
  ledger = await connectLedgerFacts(database.url)
})
beforeEach(async () => {
  address = `0x${randomBytes(20).toString('hex')}`
  wallet = await openWallet(database.pool, address)
  await ledger.fund(address, 1_000_000n)
})
afterAll(async () => {
  await ledger[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const ask = async (sql: string, values: unknown[]) =>
  String((await database.pool.query<{ answer: string }>(sql, values)).rows[0]?.answer)
type Spend = { agent?: string; session?: string }
const hold = (id: string, micros: bigint, { agent = 'a', session = 's' }: Spend = {}) =>
  ask("SELECT ledger_hold($1, $2, 2, $3, 10::smallint, $4, 'w', jsonb_build_object('sessionId', $5::text)) AS answer", [
    id,
    wallet,
    micros,
    agent,
    session,
  ])
const post = (holdId: string, micros: bigint) =>
  ask("SELECT ledger_post(gen_random_uuid(), $1, $2, 10::smallint, '{}', gen_random_uuid()) AS answer", [
    holdId,
    micros,
  ])
const release = (holdId: string) =>
  ask("SELECT ledger_void(gen_random_uuid(), $1, 12::smallint, '{}') AS answer", [holdId])
const limit = (
  limitMicros: bigint,
  { kind = 'wallet', subject = 'me', period = 'daily' }: Partial<BudgetKey> = {},
  budgetsMax = 100,
) => setBudget(database.pool, { walletId: wallet, kind, subject, period }, { limitMicros, budgetsMax })
const counted = async () =>
  (await listBudgets(database.pool, wallet)).map(({ spentMicros, reservedMicros }) => [spentMicros, reservedMicros])

test.each(['INSERT INTO budget_bucket VALUES (1)', 'UPDATE budget SET limit_micros = 9', 'DELETE FROM budget'])(
  'the application may not %s',
  async (sql) => {
    await expect(database.pool.query(sql)).rejects.toThrow('permission denied')
  },
)

test('one budget too many is refused, a change of one is not', async () => {
  expect(await limit(1n, {}, 2)).toBe(true)
  expect(await limit(1n, { period: 'total' }, 2)).toBe(true)
  expect(await limit(1n, { period: 'weekly' }, 2)).toBe(false)
  expect(await limit(5n, { period: 'total' }, 2)).toBe(true)
  expect(await listBudgets(database.pool, wallet)).toHaveLength(2)
})

test('what would pass a budget is refused and writes nothing, and the first that refuses is named', async () => {
  await limit(100n, { kind: 'agent', subject: 'a' })
  await limit(90n, { kind: 'session', subject: 's', period: 'total' })
  expect(await hold(randomUUID(), 101n)).toBe('over_budget')
  expect(await hold(randomUUID(), 91n)).toBe('over_budget')
  const spending = { walletId: wallet, agentId: 'a', names: { sessionId: 's' } }
  expect(await budgetOver(database.pool, { ...spending, amountMicros: 101n })).toMatchObject({
    kind: 'agent',
    limitMicros: 100n,
  })
  expect(await budgetOver(database.pool, { ...spending, amountMicros: 91n })).toMatchObject({
    kind: 'session',
    period: 'total',
  })
  expect(await hold(randomUUID(), 90n)).toBe('ok')
  expect(await hold(randomUUID(), 1n)).toBe('over_budget')
  expect(await hold(randomUUID(), 10n, { session: 'other' })).toBe('ok')
  expect(await hold(randomUUID(), 900_000n, { agent: 'other', session: 'other' })).toBe('ok')
  expect(await ledger.faults()).toEqual([])
})

test('a void gives back, a post counts what it cost, a hold that is asked for again counts once', async () => {
  await limit(100n)
  const [first, second] = [randomUUID(), randomUUID()]
  expect(await hold(first, 60n)).toBe('ok')
  expect(await hold(first, 60n)).toBe('exists')
  expect(await hold(first, 200n)).toBe('exists_different')
  expect(await counted()).toEqual([[0n, 60n]])
  await release(first)
  expect(await release(first)).toBe('already_resolved')
  expect(await counted()).toEqual([[0n, 0n]])
  await hold(second, 100n)
  expect(await post(second, 25n)).toBe('ok')
  expect(await counted()).toEqual([[25n, 0n]])
  expect(await hold(randomUUID(), 76n)).toBe('over_budget')
})

test('an incurred cost above hold and budget is counted, and stops what comes', async () => {
  await limit(50n)
  const id = randomUUID()
  await hold(id, 50n)
  expect(await post(id, 80n)).toBe('ok')
  expect(await counted()).toEqual([[80n, 0n]])
  expect(await hold(randomUUID(), 0n)).toBe('over_budget')
})

test('200 at once with a budget for 50: exactly 50, in every period', async () => {
  for (const period of ['daily', 'weekly', 'monthly', 'total'] as const) await limit(50n * 700n, { period })
  const answers = await Promise.all(Array.from({ length: 200 }, () => hold(randomUUID(), 700n)))
  expect(answers.filter((answer) => answer === 'ok')).toHaveLength(50)
  expect(answers.filter((answer) => answer === 'over_budget')).toHaveLength(150)
})

test('a budget that is set late counts what was spent and reserved before, and a limit below that is accepted', async () => {
  const [spent, held, over] = [randomUUID(), randomUUID(), randomUUID()]
  await hold(spent, 60n)
  await post(spent, 40n)
  await hold(over, 10n)
  await post(over, 30n)
  await hold(held, 5n)
  await release(await freshHold(7n))
  expect(await limit(1n)).toBe(true)
  expect(await counted()).toEqual([[70n, 5n]])
  await post(held, 5n)
  expect(await counted()).toEqual([[75n, 0n]])
  expect(await hold(randomUUID(), 1n)).toBe('over_budget')
  const key = { walletId: wallet, kind: 'wallet', subject: 'me', period: 'daily' } as const
  expect(await dropBudget(database.pool, key)).toBe(true)
  expect(await dropBudget(database.pool, key)).toBe(false)
  expect(await hold(randomUUID(), 1n)).toBe('ok')
})

async function freshHold(micros: bigint): Promise<string> {
  const id = randomUUID()
  await hold(id, micros)
  return id
}

test.each([
  [0, { daily: 40n, weekly: 40n, monthly: 40n, total: 40n }],
  [1, { daily: 0n, weekly: 40n, monthly: 40n, total: 40n }],
  [6, { daily: 0n, weekly: 40n, monthly: 40n, total: 40n }],
  [7, { daily: 0n, weekly: 0n, monthly: 40n, total: 40n }],
  [29, { daily: 0n, weekly: 0n, monthly: 40n, total: 40n }],
  [30, { daily: 0n, weekly: 0n, monthly: 0n, total: 40n }],
])('what was spent %i UTC days ago counts where it should', async (days, expected) => {
  for (const period of ['daily', 'weekly', 'monthly', 'total'] as const) await limit(100n, { period })
  const id = randomUUID()
  await hold(id, 40n)
  await post(id, 40n)
  await ledger.query("UPDATE budget_bucket SET day = day - $2::int WHERE wallet_id = $1 AND day <> '-infinity'", [
    wallet,
    days,
  ])
  const rows = await listBudgets(database.pool, wallet)
  expect(Object.fromEntries(rows.map(({ period, spentMicros }) => [period, spentMicros]))).toEqual(expected)
})

// What the buckets must say, from the transfers alone.
const drift = `SELECT b.kind, b.subject FROM budget_bucket b JOIN account a ON a.wallet_id = b.wallet_id AND a.code = 'user'
  CROSS JOIN LATERAL (SELECT coalesce(sum(CASE WHEN r.id IS NULL THEN h.amount ELSE 0 END), 0) AS reserved,
      coalesce(sum(CASE WHEN r.op = 'post' THEN r.amount ELSE 0 END), 0) AS spent
    FROM transfer h LEFT JOIN transfer r ON r.pending_id = h.id WHERE h.debit = a.id AND h.op = 'pending'
      AND budget_covers(b.kind, b.subject, h.agent_id, h.meta)) t
  WHERE b.day = '-infinity' AND b.wallet_id = $1 AND (b.reserved <> t.reserved OR b.spent <> t.spent)`

const spend = fc.oneof(
  fc.record({
    kind: fc.constant('hold' as const),
    id: fc.nat(5),
    micros: fc.constantFrom(10n, 25n, 40n),
    agent: fc.constantFrom('a', 'b'),
    session: fc.constantFrom('s', 't'),
  }),
  fc.record({ kind: fc.constant('post' as const), id: fc.nat(5), micros: fc.constantFrom(0n, 10n) }),
  fc.record({ kind: fc.constant('void' as const), id: fc.nat(5) }),
  fc.record({
    kind: fc.constant('budget' as const),
    micros: fc.constantFrom(0n, 60n, 100n),
    subject: fc.constantFrom('a', 'b'),
  }),
)

test('random batches at once never pass a limit, and the buckets always equal the transfers', async () => {
  const key = { kind: 'session', subject: 's', period: 'total' } as const
  await limit(200n, key)
  let round = 0
  const property = fc.asyncProperty(
    fc.array(fc.array(spend, { minLength: 2, maxLength: 8 }), { maxLength: 4 }),
    async (batches) => {
      round += 1
      const ids = Array.from({ length: 6 }, () => randomUUID())
      for (const batch of batches) {
        await Promise.all(
          batch.map((each) => {
            if (each.kind === 'budget') return limit(each.micros, { kind: 'agent', subject: `${each.subject}${round}` })
            const id = ids[each.id] ?? ''
            if (each.kind === 'void') return release(id)
            return each.kind === 'post'
              ? post(id, each.micros)
              : hold(id, each.micros, { agent: `${each.agent}${round}`, session: each.session })
          }),
        )
      }
      const session = (await listBudgets(database.pool, wallet)).find(({ kind }) => kind === 'session')
      const within = session !== undefined && session.spentMicros + session.reservedMicros <= 200n
      return within && (await ledger.query(drift, [wallet])).length === 0 && (await ledger.faults()).length === 0
    },
  )
  await expect(fc.assert(property, { numRuns: 30, endOnFailure: true })).resolves.toBeUndefined()
})

test.each([
  ['forgets to give back', 'ledger_void', '-v_hold.amount', '0'],
  ['counts the hold instead of the cost', 'ledger_post', '-v_hold.amount, p_amount', '-v_hold.amount, v_hold.amount'],
  ['looks at no budget', 'ledger_hold', 'IS NOT NULL THEN', 'IS NOT NULL AND false THEN'],
  ['counts a day too many', 'budget_used', '- 7', '- 8'],
] as const)('the suite would see a ledger that %s', async (...[, name, from, to]) => {
  const [row] = await ledger.query('SELECT pg_get_functiondef($1::regproc) AS body', [name])
  const body = String(row?.['body'])
  expect(body).toContain(from)
  for (const period of ['daily', 'weekly'] as const) await limit(100n, { period })
  const play = async () => {
    const [a, b] = [randomUUID(), randomUUID()]
    await hold(a, 60n)
    await release(a)
    await hold(b, 60n)
    await post(b, 10n)
    const after = [await hold(randomUUID(), 91n), (await counted()).map(String)]
    await ledger.query("UPDATE budget_bucket SET day = day - 7 WHERE wallet_id = $1 AND day <> '-infinity'", [wallet])
    const seen = JSON.stringify([...after, (await counted()).map(String)])
    await ledger.query('DELETE FROM budget_bucket WHERE wallet_id = $1', [wallet])
    return seen
  }
  const right = await play()
  await ledger.query(body.replace(from, to))
  const wrong = await play()
  await ledger.query(body)
  expect(wrong).not.toBe(right)
  expect(right).toBe(JSON.stringify(['over_budget', ['10,0', '10,0'], ['0,0', '0,0']]))
})
