// Runtime scopes over HTTP: kept by their owner, and obeyed by the turns that name them.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runtimeScopesPerWalletMax, scopeMetadataBytesMax } from '../../domain/limits.ts'
import { createDoorRig, type DoorRig, type Person } from '../support/door-rig.ts'

let rig: DoorRig

beforeAll(async () => {
  rig = await createDoorRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const scopes = '/wallet/runtime-scopes'
const bodyOf = async (reply: Response) => (await reply.json()) as Record<string, unknown>
const codeOf = async (reply: Response) => [reply.status, (await bodyOf(reply))['code']]
const openScope = async (person: Person, body: object = { name: 'project' }) =>
  String((await bodyOf(await person.call('POST', scopes, { body })))['id'])

test.each([
  {},
  { name: '' },
  { name: 'x'.repeat(201) },
  { name: 'nul\u0000' },
  { name: 'x', budgetMicrousd: '-1' },
  { name: 'x', budgetMicrousd: 1.5 },
  { name: 'x', enabledServerIds: ['nowhere'] },
  { name: 'x', enabledServerIds: 'everything' },
  { name: 'x', metadata: [] },
  { name: 'x', metadata: { a: 'nul\u0000' } },
  { name: 'x', metadata: { a: 'x'.repeat(scopeMetadataBytesMax) } },
])('a scope of %j is refused', async (body) => {
  const person = await rig.signIn()
  expect(await codeOf(await person.call('POST', scopes, { body }))).toEqual([400, 'VALIDATION_ERROR'])
  expect(await bodyOf(await person.call('GET', scopes))).toEqual({ scopes: [], total: 0, hasMore: false })
})

test('reading does not permit making, changing or archiving', async () => {
  const reader = await rig.signIn({ permissions: ['wallet:read'] })
  const path = `${scopes}/${randomUUID()}`
  for (const [method, at] of [
    ['POST', scopes],
    ['PUT', path],
    ['DELETE', path],
    ['POST', `${path}/servers/everything/enable`],
  ] as const)
    expect((await reader.call(method, at, { body: { name: 'x' } })).status).toBe(403)
})

test("another wallet's scope does not exist: not to see, change or spend under, nor to limit", async () => {
  const [owner, stranger] = [await rig.signIn(), await rig.signIn()]
  const id = await openScope(owner)
  const session = await rig.openSession(stranger)
  const chat = `/agents/assistant/sessions/${session.id}/chat`
  const budget = { period: 'daily', limitMicroUsd: '1' }
  const replies = [
    await stranger.call('GET', `${scopes}/${id}`),
    await stranger.call('PUT', `${scopes}/${id}`, { body: { name: 'mine' } }),
    await stranger.call('DELETE', `${scopes}/${id}`),
    await stranger.call('POST', `${scopes}/${id}/servers/everything/enable`),
    await stranger.call('PUT', `/wallet/budgets/scope/${id}`, { body: budget }),
    await stranger.call('POST', chat, { body: { message: 'hello' }, headers: { 'x-runtime-scope-id': id } }),
    await stranger.call('POST', `${chat}?scopeId=${id}`, { body: { message: 'hello' } }),
    await stranger.call('POST', `${chat}?scopeId=no-id`, { body: { message: 'hello' } }),
  ]
  for (const reply of replies) expect(await codeOf(reply)).toEqual([404, 'NOT_FOUND'])
  expect((await bodyOf(await owner.call('GET', `${scopes}/${id}`)))['name']).toBe('project')
  expect(await rig.ledger.held(stranger.principal.wallet)).toBe(0n)
})

test('a scope is made, changed in part, paged and archived for good', async () => {
  const person = await rig.signIn()
  const first = await bodyOf(
    await person.call('POST', scopes, {
      body: { name: 'one', externalRef: 'crm-7', metadata: { team: 'a' }, budgetMicrousd: 5_000, unknown: 1 },
    }),
  )
  expect(first).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    walletAddress: person.principal.wallet,
    name: 'one',
    externalRef: 'crm-7',
    status: 'active',
    metadata: { team: 'a' },
    budgetMicrousd: '5000',
    spentMicrousd: '0',
    enabledServerIds: [],
  })
  const path = `${scopes}/${String(first['id'])}`
  await openScope(person, { name: 'two' })
  expect(await bodyOf(await person.call('GET', `${scopes}?limit=1`))).toEqual({
    scopes: [first],
    total: 2,
    hasMore: true,
  })
  expect(await bodyOf(await person.call('GET', `${scopes}?limit=1&offset=1`))).toMatchObject({
    total: 2,
    hasMore: false,
  })
  const changed = await bodyOf(await person.call('PUT', path, { body: { budgetMicrousd: null, externalRef: null } }))
  expect(changed).toEqual({ ...first, budgetMicrousd: null, externalRef: null })
  expect(await bodyOf(await person.call('GET', '/wallet/budgets'))).toEqual({ budgets: [] })
  await person.call('POST', `${path}/servers/everything/enable`)
  const enabled = await bodyOf(await person.call('POST', `${path}/servers/everything/enable`))
  expect(enabled['enabledServerIds']).toEqual(['everything'])
  expect(await codeOf(await person.call('POST', `${path}/servers/nowhere/enable`))).toEqual([404, 'NOT_FOUND'])
  const disabled = await bodyOf(await person.call('POST', `${path}/servers/everything/disable`))
  expect(disabled['enabledServerIds']).toEqual([])
  for (let twice = 0; twice < 2; twice += 1)
    expect((await bodyOf(await person.call('DELETE', path)))['status']).toBe('archived')
  expect(await codeOf(await person.call('PUT', path, { body: { status: 'active' } }))).toEqual([409, 'SCOPE_INACTIVE'])
  expect(await codeOf(await person.call('POST', `${path}/servers/everything/enable`))).toEqual([409, 'SCOPE_INACTIVE'])
})

test('a wallet has as many scopes as it may, and no more', async () => {
  const person = await rig.signIn()
  await rig.pool.query(
    "INSERT INTO runtime_scope (id, wallet_id, name) SELECT gen_random_uuid(), $1, 'x' FROM generate_series(2, $2)",
    [person.principal.walletId, runtimeScopesPerWalletMax],
  )
  const replies = await Promise.all([1, 2, 3].map(() => person.call('POST', scopes, { body: { name: 'last' } })))
  expect(replies.filter((reply) => reply.status === 409)).toHaveLength(2)
})

test('a budget that is used up refuses the turns of its scope and no others', async () => {
  const person = await rig.signIn({ funds: 1_000_000n })
  const session = await rig.openSession(person)
  const chat = `/agents/assistant/sessions/${session.id}/chat`
  const [poor, rich] = [await openScope(person, { name: 'poor', budgetMicrousd: '10' }), await openScope(person)]
  const ask = (scope: string | undefined, message: string) =>
    person.call('POST', chat, {
      body: { message },
      ...(scope === undefined ? {} : { headers: { 'x-runtime-scope-id': scope } }),
    })
  const refused = await ask(poor, 'hello')
  expect([refused.status, await bodyOf(refused)]).toEqual([
    402,
    expect.objectContaining({
      code: 'BUDGET_EXCEEDED',
      subject: { kind: 'scope', id: poor },
      period: 'total',
      limitMicroUsd: '10',
      spentMicroUsd: '0',
      resetsAt: null,
    }),
  ])
  expect(await rig.ledger.held(person.principal.wallet)).toBe(0n)
  const turnOf = (reply: Response) => ({ turnId: reply.headers.get('x-turn-id') ?? '', try: 1 })
  const allowed = await ask(rich, 'hello')
  expect(allowed.headers.get('x-dedupe')).toBe('new')
  expect((await rig.ledger.newestHold(person.principal.wallet)).meta).toMatchObject({ scopeId: rich })
  await rig.answer(session, turnOf(allowed), ['hi'])
  expect(await allowed.text()).toContain('"type":"done"')
  const [row] = await rig.ledger.query('SELECT admission FROM turn WHERE id = $1', [turnOf(allowed).turnId])
  expect(row?.['admission']).toMatchObject({ runtimeScopeId: rich })
  expect((await bodyOf(await person.call('GET', `${scopes}/${rich}`)))['spentMicrousd']).toBe('1200')
  expect((await bodyOf(await person.call('GET', `${scopes}/${poor}`)))['spentMicrousd']).toBe('0')
  const unscoped = await ask(undefined, 'and outside')
  expect(unscoped.status).toBe(200)
  await rig.answer(session, turnOf(unscoped), ['hi'])
  await unscoped.text()
})

test('a paused scope opens no turn, and goes on when it is active again', async () => {
  const person = await rig.signIn({ funds: 1_000_000n })
  const session = await rig.openSession(person)
  const id = await openScope(person)
  const chat = `/agents/assistant/sessions/${session.id}/chat?scopeId=${id}`
  await person.call('PUT', `${scopes}/${id}`, { body: { status: 'paused' } })
  const refused = await person.call('POST', chat, { body: { message: 'hello' } })
  expect([refused.status, await bodyOf(refused)]).toEqual([
    409,
    expect.objectContaining({ code: 'SCOPE_INACTIVE', scopeId: id, status: 'paused' }),
  ])
  expect(await rig.ledger.held(person.principal.wallet)).toBe(0n)
  await person.call('PUT', `${scopes}/${id}`, { body: { status: 'active' } })
  const reply = await person.call('POST', chat, { body: { message: 'hello' } })
  await rig.answer(session, { turnId: reply.headers.get('x-turn-id') ?? '', try: 1 }, ['hi'])
  expect(await reply.text()).toContain('"type":"done"')
})

test('the same words under another scope are another turn, and two scopes at once are refused', async () => {
  const person = await rig.signIn({ funds: 1_000_000n })
  const session = await rig.openSession(person)
  const [a, b] = [await openScope(person), await openScope(person)]
  const chat = `/agents/assistant/sessions/${session.id}/chat`
  const both = await person.call('POST', `${chat}?scopeId=${a}`, {
    body: { message: 'hello' },
    headers: { 'x-runtime-scope-id': b },
  })
  expect(await codeOf(both)).toEqual([400, 'VALIDATION_ERROR'])
  const leave = new AbortController()
  const ask = (scope: string) =>
    person.call('POST', `${chat}?scopeId=${scope}`, { body: { message: 'hello' }, signal: leave.signal })
  const replies = [await ask(a), await ask(b), await ask(a)]
  const [first, second, third] = replies.map((reply) => reply.headers.get('x-turn-id'))
  expect(replies.map((reply) => reply.headers.get('x-dedupe'))).toEqual(['new', 'new', 'joined'])
  expect([first === second, first === third]).toEqual([false, true])
  leave.abort()
})

test('a reservation that would leave less than the minimum balance is 402, and says what is missing', async () => {
  const person = await rig.signIn({ funds: 1_000_000n })
  await rig.pool.query('INSERT INTO wallet_setting (wallet_id, settings) VALUES ($1, $2)', [
    person.principal.walletId,
    JSON.stringify({ minimumBalanceMicroUsd: '999999' }),
  ])
  const session = await rig.openSession(person)
  const reply = await person.call('POST', `/agents/assistant/sessions/${session.id}/chat`, {
    body: { message: 'hello' },
  })
  expect([reply.status, await bodyOf(reply)]).toEqual([
    402,
    {
      error: 'MINIMUM_BALANCE',
      code: 'MINIMUM_BALANCE',
      message: 'The reservation would leave less than the minimum balance.',
      minimumMicroUsd: '999999',
      required: expect.stringMatching(/^\d+$/),
      available: '1000000',
      depositAddress: null,
    },
  ])
  expect(rig.submitted.some(({ labels }) => labels.sessionId === session.id)).toBe(false)
})
