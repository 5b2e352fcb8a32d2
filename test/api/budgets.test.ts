// Budgets over HTTP: who may set them, of what, and that a turn they do not cover never starts.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { budgetsPerWalletMax } from '../../domain/limits.ts'
import { createDoorRig, type DoorRig } from '../support/door-rig.ts'

let rig: DoorRig

beforeAll(async () => {
  rig = await createDoorRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const bodyOf = async (reply: Response) => (await reply.json()) as Record<string, unknown>
const agent = '/wallet/budgets/agent/assistant'

test.each([
  [agent, {}],
  [agent, { period: 'daily' }],
  [agent, { period: 'hourly', limitMicroUsd: '1' }],
  [agent, { period: 'daily', limitMicroUsd: '-1' }],
  [agent, { period: 'daily', limitMicroUsd: 1.5 }],
  [agent, { period: 'daily', limitMicroUsd: 1e300 }],
  [agent, { period: 'daily', limitMicroUsd: '1'.repeat(19) }],
  ['/wallet/budgets/tool/x', { period: 'daily', limitMicroUsd: '1' }],
])('%s with %j is refused', async (path, body) => {
  const person = await rig.signIn()
  const reply = await person.call('PUT', path, { body })
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([400, 'VALIDATION_ERROR'])
  expect(await bodyOf(await person.call('GET', '/wallet/budgets'))).toEqual({ budgets: [] })
})

test("nobody limits what is not there or another's, and reading does not permit setting", async () => {
  const [person, other] = [await rig.signIn(), await rig.signIn()]
  const session = await rig.openSession(other)
  const order = { period: 'daily', limitMicroUsd: '1' }
  for (const subject of [`session/${session.id}`, 'session/x', 'agent/nobody', `wallet/${other.principal.wallet}`]) {
    const reply = await person.call('PUT', `/wallet/budgets/${subject}`, { body: order })
    expect([subject, reply.status]).toEqual([subject, 404])
  }
  expect((await person.call('DELETE', `${agent}/daily`)).status).toBe(404)
  const reader = await rig.signIn({ permissions: ['wallet:read'] })
  expect((await reader.call('PUT', agent, { body: order })).status).toBe(403)
  expect((await reader.call('DELETE', `${agent}/daily`)).status).toBe(403)
})

test('a turn that a budget does not cover is 402, names the budget, and reserves nothing', async () => {
  const person = await rig.signIn({ funds: 1_000_000n })
  const session = await rig.openSession(person)
  const set = await bodyOf(
    await person.call('PUT', `/wallet/budgets/session/${session.id}`, { body: { period: 'daily', limitMicroUsd: 10 } }),
  )
  expect(set).toMatchObject({
    subject: { kind: 'session', id: session.id },
    period: 'daily',
    limitMicroUsd: '10',
    spentMicroUsd: '0',
  })
  const reply = await person.call('POST', `/agents/assistant/sessions/${session.id}/chat`, {
    body: { message: 'hello' },
  })
  expect([reply.status, await bodyOf(reply)]).toEqual([
    402,
    {
      error: 'BUDGET_EXCEEDED',
      code: 'BUDGET_EXCEEDED',
      message: 'The daily budget of this session does not cover the reservation.',
      subject: { kind: 'session', id: session.id },
      period: 'daily',
      limitMicroUsd: '10',
      spentMicroUsd: '0',
      resetsAt: expect.stringMatching(/T00:00:00\.000Z$/),
    },
  ])
  expect(await bodyOf(await person.call('GET', '/wallet/balance'))).toMatchObject({
    reserved: '0',
    availableBalance: '1000000',
  })
  expect((await person.call('DELETE', `/wallet/budgets/session/${session.id}/daily`)).status).toBe(200)
  const turn = await rig.post(person, session, { message: 'hello' })
  await rig.answer(session, turn, ['hi'])
})

test('a turn counts against every budget that covers it, by what it cost', async () => {
  const person = await rig.signIn({ funds: 1_000_000n })
  const session = await rig.openSession(person)
  const mixedCase = `0x${person.principal.wallet.slice(2).toUpperCase()}`
  for (const subject of [`session/${session.id}`, 'agent/assistant', `wallet/${mixedCase}`])
    await person.call('PUT', `/wallet/budgets/${subject}`, { body: { period: 'total', limitMicroUsd: '900000' } })
  const turn = await rig.post(person, session, { message: 'hello' })
  const during = (await bodyOf(await person.call('GET', '/wallet/budgets')))['budgets'] as {
    reservedMicroUsd: string
  }[]
  expect(during.every(({ reservedMicroUsd }) => BigInt(reservedMicroUsd) > 0n)).toBe(true)
  await rig.answer(session, turn, ['hi'])
  const { budgets } = await bodyOf(await person.call('GET', '/wallet/budgets'))
  const row = { period: 'total', limitMicroUsd: '900000', spentMicroUsd: '1200', reservedMicroUsd: '0', resetsAt: null }
  expect(budgets).toEqual([
    { subject: { kind: 'agent', id: 'assistant' }, ...row },
    { subject: { kind: 'session', id: session.id }, ...row },
    { subject: { kind: 'wallet', id: person.principal.wallet }, ...row },
  ])
})

test('a wallet has as many budgets as it may, and no more', async () => {
  const person = await rig.signIn()
  const order = { period: 'daily', limitMicroUsd: '1' }
  await rig.pool.query("SELECT budget_set($1, 'session', 'x' || n, 'daily', 1, 1000) FROM generate_series(1, $2) n", [
    person.principal.walletId,
    budgetsPerWalletMax,
  ])
  const reply = await person.call('PUT', agent, { body: order })
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([409, 'BUDGET_LIMIT'])
})
