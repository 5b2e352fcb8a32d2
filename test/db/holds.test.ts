// What a hold obeys besides budgets of wallet, agent and session: its scope, the reflection budget, and what must be left
// of the balance. All in the one call, all or nothing, whatever comes at once.
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { budgetOver, listBudgets, setBudget, type BudgetKey, type SpendingNames } from '../../db/budget.ts'
import { openWallet } from '../../db/identity.ts'
import { auditWallets } from '../../db/ledger-audit.ts'
import { insertScope, readScope, updateScope } from '../../db/runtime-scope.ts'
import { inTransaction } from '../../db/transaction.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { connectLedgerFacts, type LedgerFacts } from '../support/ledger-facts.ts'

let database: TestDatabase
let ledger: LedgerFacts
let wallet: bigint
let address: string
const funds = 1_000n

beforeAll(async () => {
  database = await createTestDatabase()
  ledger = await connectLedgerFacts(database.url)
})
beforeEach(async () => {
  address = `0x${randomBytes(20).toString('hex')}`
  wallet = await openWallet(database.pool, address)
  await ledger.fund(address, funds)
})
afterEach(async () => {
  const faults = await ledger.faults()
  if (faults.length > 0) throw new Error(`The ledger does not add up: ${JSON.stringify(faults)}`)
})
afterAll(async () => {
  await ledger[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

type Meta = SpendingNames & { readonly minimumMicros?: string }
const ask = async (sql: string, values: unknown[]) =>
  String((await database.pool.query<{ answer: string }>(sql, values)).rows[0]?.answer)
const hold = (micros: bigint, meta: Meta = {}, id = randomUUID() as string) =>
  ask("SELECT ledger_hold($1, $2, 2, $3, 10::smallint, 'a', 'w', $4) AS answer", [
    id,
    wallet,
    micros,
    JSON.stringify(meta),
  ])
const post = (holdId: string, micros: bigint) =>
  ask('SELECT ledger_post(gen_random_uuid(), $1, $2, 10::smallint, \'{"step":1}\', gen_random_uuid()) AS answer', [
    holdId,
    micros,
  ])
type Named = readonly [BudgetKey['kind'], string, BudgetKey['period']?]
const limit = ([kind, subject, period = 'daily']: Named, limitMicros: bigint) =>
  setBudget(database.pool, { walletId: wallet, kind, subject, period }, { limitMicros, budgetsMax: 100 })
const openScope = async () => {
  const id: string = randomUUID()
  const row = { id, walletId: wallet, name: 'n', externalRef: null, metadata: {}, serverIds: [] }
  await inTransaction(database.pool, (client) => insertScope(client, row, 100))
  return id
}
const setMinimum = (micros: bigint) =>
  database.pool.query('INSERT INTO wallet_setting (wallet_id, settings) VALUES ($1, $2)', [
    wallet,
    JSON.stringify({ minimumBalanceMicroUsd: micros.toString() }),
  ])

test("a scope that is paused, archived, unknown or another wallet's holds nothing; what it held before is found", async () => {
  const scopeId = await openScope()
  const held = randomUUID()
  expect(await hold(10n, { scopeId }, held)).toBe('ok')
  for (const status of ['paused', 'archived'] as const) {
    await inTransaction(database.pool, (client) => updateScope(client, scopeId, { status }))
    expect(await hold(10n, { scopeId })).toBe('scope_inactive')
  }
  expect(await hold(10n, { scopeId: randomUUID() })).toBe('scope_inactive')
  expect(await hold(10n, { scopeId }, held)).toBe('exists')
  const mine = wallet
  wallet = await openWallet(database.pool, `0x${randomBytes(20).toString('hex')}`)
  const foreign = await openScope()
  wallet = mine
  expect(await hold(10n, { scopeId: foreign })).toBe('scope_inactive')
  expect(await ledger.held(address)).toBe(10n)
})

test('the budget of a scope, and the one of reflection, stop what is named so and nothing else', async () => {
  const [scopeId, other] = [await openScope(), await openScope()]
  await limit(['scope', scopeId], 50n)
  await limit(['reflection', address, 'monthly'], 30n)
  expect(await hold(51n, { scopeId })).toBe('over_budget')
  expect(await hold(51n, { scopeId: other })).toBe('ok')
  expect(await hold(51n)).toBe('ok')
  expect(await hold(31n, { reflection: true })).toBe('over_budget')
  expect(await hold(31n, { reflection: true, scopeId })).toBe('over_budget')
  expect(await hold(30n, { reflection: true, scopeId })).toBe('ok')
  expect(await hold(1n, { reflection: true })).toBe('over_budget')
  expect(await hold(21n, { scopeId })).toBe('over_budget')
  expect(await hold(20n, { scopeId })).toBe('ok')
  const counted = (await listBudgets(database.pool, wallet)).map(({ kind, reservedMicros }) => [kind, reservedMicros])
  expect(counted).toEqual([
    ['reflection', 30n],
    ['scope', 50n],
  ])
})

test('of several budgets that refuse the first is named, in the order wallet, scope, agent, session, reflection', async () => {
  const scopeId = await openScope()
  const names = { scopeId, sessionId: 's', reflection: true } as const
  const spending = { walletId: wallet, agentId: 'a', names, amountMicros: 1n }
  const order = [
    ['reflection', address],
    ['session', 's'],
    ['agent', 'a'],
    ['scope', scopeId],
    ['wallet', address],
  ] as const
  for (const [kind, subject] of order) {
    await limit([kind, subject], 0n)
    expect(await budgetOver(database.pool, spending)).toMatchObject({ kind, subject })
  }
})

test('what must be left stays: the policy says how much, the wallet may say otherwise', async () => {
  const policy = { minimumMicros: '400' }
  expect(await hold(601n, policy)).toBe('minimum_balance')
  expect(await hold(1_001n, policy)).toBe('insufficient')
  await setMinimum(900n)
  expect(await hold(101n, policy)).toBe('minimum_balance')
  expect(await hold(100n, policy)).toBe('ok')
  expect(await hold(0n, policy)).toBe('ok')
  expect(await hold(1n, policy)).toBe('minimum_balance')
  expect(await ledger.held(address)).toBe(100n)
})

test('200 at once with funds for 50 above the minimum, in a scope with a budget for 40: exactly 40, then 10', async () => {
  const scopeId = await openScope()
  await limit(['scope', scopeId, 'total'], 40n * 10n)
  await setMinimum(500n)
  const inScope = await Promise.all(Array.from({ length: 200 }, () => hold(10n, { scopeId })))
  expect(inScope.filter((answer) => answer === 'ok')).toHaveLength(40)
  const outside = await Promise.all(Array.from({ length: 200 }, () => hold(10n)))
  expect(outside.filter((answer) => answer === 'ok')).toHaveLength(10)
  expect(new Set(outside)).toEqual(new Set(['ok', 'minimum_balance']))
  expect(await ledger.available(address)).toBe(500n)
})

test('a posting, and what exceeds its hold, counts for the scope of the hold, with a budget and without', async () => {
  const scopeId = await openScope()
  const id = randomUUID()
  await hold(50n, { scopeId, sessionId: 's' }, id)
  expect(await post(id, 80n)).toBe('ok')
  expect(await readScope(database.pool, { walletId: wallet, id: scopeId })).toMatchObject({
    spentMicros: 80n,
    budgetMicros: null,
  })
  await limit(['scope', scopeId, 'total'], 70n)
  expect(await readScope(database.pool, { walletId: wallet, id: scopeId })).toMatchObject({
    spentMicros: 80n,
    budgetMicros: 70n,
  })
  expect(await hold(0n, { scopeId })).toBe('over_budget')
  const metas = await ledger.query("SELECT meta FROM transfer WHERE meta->>'scopeId' = $1 ORDER BY seq", [scopeId])
  expect(metas.map(({ meta }) => meta)).toEqual([
    { scopeId, sessionId: 's' },
    { scopeId, sessionId: 's', step: 1 },
    { scopeId, sessionId: 's', step: 1, heldOn: expect.any(String) },
  ])
})

test('a posting counts for the names of its hold and no others, whatever the caller says, or says nothing', async () => {
  const scopeId = await openScope()
  for (const said of [{ scopeId, sessionId: 's', reflection: true }, null]) {
    const id = randomUUID()
    expect(await hold(50n, {}, id)).toBe('ok')
    const posted = await ask(
      'SELECT ledger_post(gen_random_uuid(), $1, 80, 10::smallint, $2, gen_random_uuid()) AS answer',
      [id, said && JSON.stringify(said)],
    )
    expect(posted).toBe('ok')
  }
  expect(await readScope(database.pool, { walletId: wallet, id: scopeId })).toMatchObject({ spentMicros: 0n })
  await limit(['scope', scopeId, 'total'], 100n)
  await limit(['session', 's', 'total'], 100n)
  expect((await listBudgets(database.pool, wallet)).map(({ spentMicros }) => spentMicros)).toEqual([0n, 0n])
  expect((await auditWallets(database.pool, { after: wallet - 1n, limit: 1, holdMs: 60_000 })).faults).toEqual([])
})

test('what exceeds a hold counts on the day of the hold, also for a budget that is set after midnight', async () => {
  const id = randomUUID()
  await hold(50n, {}, id)
  await ledger.query('ALTER TABLE transfer DISABLE TRIGGER transfer_append_only')
  await ledger.query("UPDATE transfer SET at = at - interval '1 day' WHERE id = $1", [id])
  await ledger.query('ALTER TABLE transfer ENABLE TRIGGER transfer_append_only')
  expect(await post(id, 80n)).toBe('ok')
  await limit(['wallet', address], 70n)
  expect(await listBudgets(database.pool, wallet)).toMatchObject([{ period: 'daily', spentMicros: 0n }])
  await limit(['wallet', address, 'weekly'], 70n)
  expect(await listBudgets(database.pool, wallet)).toMatchObject([{ period: 'daily' }, { spentMicros: 80n }])
})

test.each([
  ['lets a paused scope spend', 'scope_is_active', "status = 'active'", "status <> 'archived'"],
  ['keeps one too few', 'ledger_hold', 'v_left < minimum_balance', 'v_left + 1 < minimum_balance'],
  ['forgets scopes', 'budget_covers', "p_meta->>'scopeId'", "p_meta->>'scope'"],
  ['counts an excess for nobody', 'ledger_post', 'p_meta || budget_names(v_hold.meta)', 'p_meta'],
] as const)('the suite would see a ledger that %s', async (...[, name, from, to]) => {
  const [row] = await ledger.query('SELECT pg_get_functiondef($1::regproc) AS body', [name])
  const body = String(row?.['body'])
  expect(body).toContain(from)
  const play = async () => {
    const [paused, spent] = [await openScope(), await openScope()]
    await inTransaction(database.pool, (client) => updateScope(client, paused, { status: 'paused' }))
    await limit(['scope', spent, 'total'], 20n)
    const least = { minimumMicros: (await ledger.available(address)).toString() }
    const id = randomUUID()
    const seen = [await hold(1n, { scopeId: paused }), await hold(1n, least), await hold(20n, { scopeId: spent }, id)]
    seen.push(await hold(1n, { scopeId: spent }), await post(id, 25n))
    await ledger.query("DELETE FROM budget WHERE kind = 'scope'")
    await ledger.query("DELETE FROM budget_bucket WHERE kind = 'scope'")
    const scope = await readScope(database.pool, { walletId: wallet, id: spent })
    return [...seen, String(scope?.spentMicros)]
  }
  const right = await play()
  await ledger.query(body.replace(from, to))
  const wrong = await play()
  await ledger.query(body)
  expect(right).toEqual(['scope_inactive', 'minimum_balance', 'ok', 'over_budget', 'ok', '25'])
  expect(wrong).not.toEqual(right)
})
