// Balance, history and play money.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { micros } from '../../domain/money.ts'
import { balanceOf } from '../../gateway/wallet.ts'
import { readPrices } from '../../workers/files.ts'
import { createDoorRig, type DoorRig } from '../support/door-rig.ts'

let rig: DoorRig

beforeAll(async () => {
  rig = await createDoorRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const bodyOf = async (reply: Response) => (await reply.json()) as Record<string, unknown>

test.each([
  'limit=0x1',
  'limit=201',
  'limit=-1',
  'offset=1e9',
  'offset=abc',
  'limit=1&limit=2',
  'type=gift',
  'since=yesterday',
  'since=2026-02-02T00:00:00Z&until=2026-01-01T00:00:00Z',
])('a page with %s is refused', async (query) => {
  const person = await rig.signIn()
  const reply = await person.call('GET', `/wallet/transactions?${query}`)
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([400, 'VALIDATION_ERROR'])
})

test('without a credential, permission or the right method nothing is told', async () => {
  expect((await fetch(`${rig.base}/wallet/balance`)).status).toBe(401)
  const chatter = await rig.signIn({ permissions: ['chat:*'] })
  for (const path of ['/wallet/balance', '/wallet/transactions'])
    expect((await chatter.call('GET', path)).status).toBe(403)
  const reader = await rig.signIn({ permissions: ['wallet:read'] })
  expect((await reader.call('POST', '/wallet/faucet')).status).toBe(403)
  expect((await reader.call('DELETE', '/wallet/balance')).status).toBe(405)
})

test('play money comes once', async () => {
  const person = await rig.signIn({ funds: 0n })
  expect(await bodyOf(await person.call('POST', '/wallet/faucet'))).toEqual({
    amount: '10000000',
    availableBalance: '10000000',
    playMoney: true,
  })
  const again = await person.call('POST', '/wallet/faucet')
  expect([again.status, (await bodyOf(again))['code']]).toEqual([409, 'FAUCET_USED'])
})

test('a new wallet has nothing, and says null where there is no source', async () => {
  const person = await rig.signIn({ funds: 0n })
  expect(await bodyOf(await person.call('GET', '/wallet/balance'))).toMatchObject({
    availableBalance: '0',
    availableBalanceUsd: '$0.00',
    reserved: '0',
    depositAddress: null,
    unifiedDepositAddress: null,
    depositInstructions: null,
    agentSpends: {},
    estimatedMessages: { 'scripted-1': 0 },
    walletAddress: person.principal.wallet,
  })
})

test('a model whose price begins later is not estimated, and hides no balance', async () => {
  const { rows, contextTokens } = await readPrices()
  const later = rows
    .filter(({ model }) => model === 'scripted-1')
    .map((row) => ({ ...row, effectiveFrom: '2099-01-01' }))
  const prices = {
    aliases: { now: 'claude-opus-5-5', later: 'scripted-1' },
    contextTokens,
    minimumBalanceMicros: micros(0n),
  }
  const { principal } = await rig.signIn()
  const table = { ...prices, rows: [...rows.filter(({ model }) => model === 'claude-opus-5-5'), ...later] }
  const balance = await balanceOf({ pool: rig.pool, prices: table, clock: rig.clock }, principal)
  expect(Object.keys(balance.estimatedMessages)).toEqual(['claude-opus-5-5'])
})

test('a turn is reserved, charged and listed, and the parts of the balance add up', async () => {
  const person = await rig.signIn({ funds: 1_000_000n })
  const session = await rig.openSession(person)
  const turn = await rig.post(person, session, { message: 'hello' })
  const during = await bodyOf(await person.call('GET', '/wallet/balance'))
  expect(BigInt(String(during['reserved']))).toBeGreaterThan(0n)
  expect(BigInt(String(during['availableBalance'])) + BigInt(String(during['reserved']))).toBe(1_000_000n)
  await rig.answer(session, turn, ['hi'])
  const after = await bodyOf(await person.call('GET', '/wallet/balance'))
  expect(after).toMatchObject({
    availableBalance: '998800',
    onChainBalance: '1000000',
    unsettledSpend: '1200',
    reserved: '0',
    agentSpends: { assistant: { totalSpent: '1200' } },
  })
  const page = await bodyOf(await person.call('GET', '/wallet/transactions?limit=1'))
  expect(page).toMatchObject({
    total: 2,
    hasMore: true,
    transactions: [{ type: 'spend', amount: '1200', agentId: 'assistant' }],
  })
  const rest = await bodyOf(await person.call('GET', '/wallet/transactions?limit=1&offset=1'))
  expect(rest).toMatchObject({ total: 2, hasMore: false, transactions: [{ type: 'deposit', amount: '1000000' }] })
})

test("nobody sees another wallet's money", async () => {
  const rich = await rig.signIn({ funds: 5n })
  const other = await rig.signIn({ funds: 0n })
  expect(await bodyOf(await other.call('GET', '/wallet/transactions'))).toEqual({
    transactions: [],
    total: 0,
    hasMore: false,
  })
  expect((await bodyOf(await rich.call('GET', '/wallet/transactions')))['total']).toBe(1)
})

test('the history is filtered by type, agent and time, and each page tells the total of its filter', async () => {
  const person = await rig.signIn({ funds: 1_000_000n })
  const { walletId } = person.principal
  await rig.ledger.query(
    `SELECT ledger_write(gen_random_uuid(), 'posted', wallet_account($1, 'user'), 2, n % 2, NULL, 10::smallint, CASE WHEN n < 4 THEN 'a' ELSE 'b' END, 'w', '{}')
     FROM generate_series(1, 6) n`,
    [walletId],
  )
  const ask = async (query: string) => {
    const body = await bodyOf(await person.call('GET', `/wallet/transactions?${query}`))
    const transactions = body['transactions'] as { type: string; agentId?: string; createdAt: string }[]
    return { ...body, transactions } as { transactions: typeof transactions; total: number; hasMore: boolean }
  }
  const all = await ask('')
  expect(all.transactions.map(({ type }) => type)).toEqual(['spend', 'spend', 'spend', 'deposit'])
  expect([all.total, all.hasMore]).toEqual([4, false])
  expect((await ask('type=deposit')).total).toBe(1)
  expect((await ask('type=withdrawal')).transactions).toEqual([])
  expect((await ask('agentId=a')).transactions.map(({ agentId }) => agentId)).toEqual(['a', 'a'])
  expect(await ask('type=spend&limit=2')).toMatchObject({ total: 3, hasMore: true })
  expect(await ask('type=spend&limit=2&offset=2')).toMatchObject({ total: 3, hasMore: false })
  expect(await ask('offset=9')).toEqual({ transactions: [], total: 4, hasMore: false })
  const later = new Date(Date.now() + 60_000).toISOString()
  expect([(await ask(`since=${later}`)).total, (await ask(`until=${later}`)).total]).toEqual([0, 4])
})
