// The same request again gets the same answer, on every route that changes something. Walks over the route table: a new
// mutating route needs a line here.
import type { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { keepsReplies } from '../../api/idempotency.ts'
import { dropOldReplies } from '../../db/idempotent-reply.ts'
import { idempotentKeysPerOwnerMax } from '../../domain/limits.ts'
import { tokenIdOf } from '../../sdk/auth.ts'
import { startTestApi, type TestApi } from '../support/api.ts'
import { everyRoute } from '../support/every-route.ts'
import { policyText } from '../support/policy-texts.ts'

const routes = everyRoute()
const nameOf = ({ method, path }: { method: string; path: string }) => `${method.toUpperCase()} ${path}`

let api: TestApi
let person: Someone

beforeAll(async () => void (api = await startTestApi()))
beforeEach(async () => {
  await api.database.pool.query('DELETE FROM rate_bucket')
  person = await newcomer()
})
afterAll(() => api[Symbol.asyncDispose]())

type Someone = { readonly account: ReturnType<typeof privateKeyToAccount>; readonly token: string }
type Order = { readonly path: string; readonly body?: Record<string, unknown>; readonly token?: string }
type Sent = Order & { readonly method: string; readonly headers?: Readonly<Record<string, string>> }

async function newcomer(): Promise<Someone> {
  const account = api.newWallet()
  return { account, token: await api.tokenOf(account) }
}

const send = ({ method, path, body, headers, token = person.token }: Sent) =>
  fetch(api.url + path, {
    method,
    headers: {
      ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })

const made = async (path: string, body: Record<string, unknown> = {}) =>
  Object.values((await (await send({ method: 'POST', path, body })).json()) as object)[0] as string
const session = () => made('/agents/assistant/sessions')
const clerk = { definition: { id: 'clerk', name: 'Clerk' } }
const scope = () => made('/wallet/runtime-scopes', { name: 'one' })
const switched = async (verb: string) => ({
  path: `/wallet/runtime-scopes/${await scope()}/servers/everything/${verb}`,
})

async function runningTurn(): Promise<string> {
  await send({ method: 'POST', path: '/wallet/faucet' })
  const path = `/agents/assistant/sessions/${await session()}`
  const reply = await send({ method: 'POST', path: `${path}/chat`, body: { message: 'hello' } })
  await reply.body?.cancel()
  return `${path}/turns/${reply.headers.get('x-turn-id')}`
}

async function answeredChallenge(prefix: string): Promise<Order> {
  const { account } = person
  const asked = await fetch(`${api.url}${prefix}/challenge?walletAddress=${account.address}`)
  const { nonce, message } = (await asked.json()) as { nonce: string; message: string }
  const body = { walletAddress: account.address, nonce, signature: await account.signMessage({ message }) }
  return { path: `${prefix}/verify`, body, token: '' }
}

async function signedToken(prefix: string): Promise<Order> {
  const { account } = person
  const facts = { walletAddress: account.address, expiresAt: new Date(Date.now() + 3_600_000).toISOString() }
  const asked = await fetch(`${api.url}${prefix}/token-message?${new URLSearchParams(facts).toString()}`)
  const { message } = (await asked.json()) as { message: string }
  return {
    path: `${prefix}/create-token`,
    body: { ...facts, signature: await account.signMessage({ message }) },
    token: '',
  }
}

const orders: Readonly<Record<string, () => Promise<Order>>> = {
  'POST /auth/verify': () => answeredChallenge('/auth'),
  'POST /api/auth/verify': () => answeredChallenge('/api/auth'),
  'POST /auth/create-token': () => signedToken('/auth'),
  'POST /api/auth/create-token': () => signedToken('/api/auth'),
  'POST /api/auth/revoke': async () => ({
    path: '/api/auth/revoke',
    body: { tokenId: await tokenIdOf(await api.tokenOf(person.account)) },
  }),
  'POST /auth/link': async () => ({ path: '/auth/link' }),
  'POST /agents/custom': async () => ({ path: '/agents/custom', body: clerk }),
  'DELETE /agents/custom/:id': async () => ({ path: `/agents/custom/${await made('/agents/custom', clerk)}` }),
  'POST /agents/:id/sessions': async () => ({ path: '/agents/assistant/sessions', body: {} }),
  'DELETE /agents/:id/sessions/:sid': async () => ({ path: `/agents/assistant/sessions/${await session()}` }),
  'POST /agents/:id/sessions/:sid/turns/:turnId/cancel': async () => ({ path: `${await runningTurn()}/cancel` }),
  'PUT /wallet/settings': async () => ({ path: '/wallet/settings', body: { autoImprove: true } }),
  'POST /wallet/faucet': async () => ({ path: '/wallet/faucet' }),
  'PUT /wallet/budgets/:kind/:id': async () => ({
    path: '/wallet/budgets/agent/assistant',
    body: { period: 'daily', limitMicroUsd: '1000' },
  }),
  async 'DELETE /wallet/budgets/:kind/:id/:period'() {
    const path = '/wallet/budgets/agent/assistant'
    await send({ method: 'PUT', path, body: { period: 'daily', limitMicroUsd: '1000' } })
    return { path: `${path}/daily` }
  },
  'POST /wallet/runtime-scopes': async () => ({ path: '/wallet/runtime-scopes', body: { name: 'one' } }),
  'PUT /wallet/runtime-scopes/:id': async () => ({
    path: `/wallet/runtime-scopes/${await scope()}`,
    body: { name: 'two' },
  }),
  'DELETE /wallet/runtime-scopes/:id': async () => ({ path: `/wallet/runtime-scopes/${await scope()}` }),
  'POST /wallet/runtime-scopes/:id/servers/:server/enable': () => switched('enable'),
  'POST /wallet/runtime-scopes/:id/servers/:server/disable': () => switched('disable'),
  'PUT /api/v1/policies/:id': () => keptPolicy('', { text: policyText('kept') }),
  'DELETE /api/v1/policies/:id': () => keptPolicy(),
  'POST /api/v1/policies/:id/rollback': () => keptPolicy('/rollback', { version: 1 }),
}

async function operatorToken(): Promise<string> {
  const { account, token } = await newcomer()
  api.roles.set(account.address.toLowerCase(), { tenant: 'house', roles: ['owner', 'operator'] })
  return token
}

async function keptPolicy(rest = '', body?: Record<string, unknown>): Promise<Order> {
  const [path, token] = ['/api/v1/policies/kept', await operatorToken()]
  await send({ method: 'PUT', path, body: { text: policyText('kept') }, token })
  return { path: `${path}${rest}`, token, ...(body === undefined ? {} : { body }) }
}

const keeping = routes.filter(keepsReplies).map(nameOf)
const methodOf = (name: string) => name.split(' ')[0] ?? ''
let keys = 0
const freshKey = () => ({ 'idempotency-key': `key-${(keys += 1)}` })
const codeOf = async (reply: Response) => {
  const { code } = (await reply.json()) as { code: string }
  return [reply.status, code.toUpperCase().replaceAll('-', '_')]
}
const storedKeys = async () => Number((await api.database.pool.query('SELECT 1 FROM idempotent_reply')).rowCount)

test('every mutating route keeps its replies, obeys the key itself, or changes nothing', () => {
  expect(Object.keys(orders).toSorted()).toEqual(keeping.toSorted())
  const others = routes.filter(({ method, idempotency }) => method !== 'get' && idempotency !== undefined)
  expect(others.map((route) => `${route.idempotency} ${nameOf(route)}`).toSorted()).toEqual([
    'none POST /api/v1/audit/verify',
    'none POST /api/v1/policies/explain',
    'none POST /api/v1/policies/test',
    'none POST /api/v1/policies/validate',
    'none POST /temporal/codec/decode',
    'none POST /temporal/codec/encode',
    'own POST /agents/:id/sessions/:sid/chat',
  ])
})

test.each(keeping)('%s answers the same request again with the same reply, and another one with 422', async (name) => {
  const order = await orders[name]?.()
  if (!order) throw new Error(`${name} has no order.`)
  const [method, headers] = [methodOf(name), freshKey()]
  const first = await send({ ...order, method, headers })
  expect([first.ok, first.headers.get('idempotent-replayed')]).toEqual([true, null])
  const again = await send({ ...order, method, headers })
  expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([first.status, 'true'])
  const text = await first.text()
  expect(await again.text()).toBe(text)
  expect(again.headers.get('set-cookie')).toBe(first.headers.get('set-cookie'))
  const other = await send({ ...order, path: `${order.path}?other=1`, method, headers })
  expect(await codeOf(other)).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
  const { rows } = await api.database.pool.query<{ sealed: Buffer }>(
    'UPDATE idempotent_reply r SET sealed = NULL FROM idempotent_reply old WHERE r.key = $1 AND old.key = r.key RETURNING old.sealed',
    [headers['idempotency-key']],
  )
  expect(rows[0]?.sealed.includes(text.slice(1, -1))).toBe(false)
  expect(await codeOf(await send({ ...order, method, headers }))).toEqual([409, 'IDEMPOTENCY_KEY_BUSY'])
})

const create = { method: 'POST', path: '/agents/assistant/sessions', body: {} }
const sessions = async () =>
  ((await (await send({ method: 'GET', path: '/wallet/sessions' })).json()) as { sessions: object[] }).sessions.length

test('many at once do it once', async () => {
  const headers = freshKey()
  const replies = await Promise.all(Array.from({ length: 8 }, () => send({ ...create, headers })))
  expect(replies.every(({ status }) => status === 200 || status === 409)).toBe(true)
  expect(replies.some(({ status }) => status === 200)).toBe(true)
  expect(await sessions()).toBe(1)
})

test('the key of one wallet is not the key of another, and the key of a route not that of the next', async () => {
  const headers = freshKey()
  const first = await (await send({ ...create, headers })).text()
  const scoped = await send({ method: 'POST', path: '/wallet/runtime-scopes', body: { name: 'x' }, headers })
  expect(scoped.status).toBe(200)
  const { token } = await newcomer()
  const theirs = await send({ ...create, headers, token })
  expect([theirs.status, (await theirs.text()) === first]).toEqual([200, false])
})

test('a refusal is not kept: it changed nothing', async () => {
  const headers = freshKey()
  const order = { method: 'PUT', path: '/wallet/settings', headers }
  expect((await send({ ...order, body: { defaultModel: 'nothing-9' } })).status).toBe(400)
  expect((await send({ ...order, body: { autoImprove: true } })).status).toBe(200)
})

test('what is refused at the door leaves no key behind', async () => {
  const before = await storedKeys()
  const headers = freshKey()
  expect((await send({ ...create, headers, token: 'garbage' })).status).toBe(401)
  expect((await send({ method: 'PUT', path: '/wallet/settings', body: { colour: 'red' }, headers })).status).toBe(400)
  const verify = { walletAddress: person.account.address, nonce: 'f'.repeat(32), signature: `0x${'1'.repeat(130)}` }
  expect((await send({ method: 'POST', path: '/auth/verify', body: verify, headers, token: '' })).status).toBe(401)
  expect(await storedKeys()).toBe(before)
})

test.each<[string, Record<string, string>]>([
  ['two different keys', { 'idempotency-key': 'one', 'x-idempotency-key': 'two' }],
  ['a blank', { 'idempotency-key': 'a b' }],
  ['201 characters', { 'idempotency-key': 'x'.repeat(201) }],
  ['no text', { 'idempotency-key': '' }],
])('%s: 400, and nothing is done', async (_name, headers) => {
  expect(await codeOf(await send({ ...create, headers }))).toEqual([400, 'VALIDATION_ERROR'])
  expect(await sessions()).toBe(0)
})

test('the alias names the same key', async () => {
  const first = await send({ ...create, headers: { 'x-idempotency-key': 'alias' } })
  const again = await send({ ...create, headers: { 'idempotency-key': 'alias' } })
  expect(await again.text()).toBe(await first.text())
})

test('another order of the same members is the same body', async () => {
  const order = { method: 'PUT', path: '/wallet/budgets/agent/assistant', headers: freshKey() }
  await send({ ...order, body: { period: 'daily', limitMicroUsd: '5' } })
  const again = await send({ ...order, body: { limitMicroUsd: '5', period: 'daily' } })
  expect(again.headers.get('idempotent-replayed')).toBe('true')
})

test('a claim of a dead process lapses for the same body, a kept reply after its time for any', async () => {
  const headers = freshKey()
  const order = { method: 'PUT', path: '/wallet/settings', headers }
  await send({ ...order, body: { autoImprove: true } })
  const change = (what: string) =>
    api.database.pool.query(`UPDATE idempotent_reply SET ${what} WHERE key = $1`, [headers['idempotency-key']])
  await change("sealed = NULL, claimed_until = clock_timestamp() - interval '1 second'")
  expect((await send({ ...order, body: { autoImprove: false } })).status).toBe(422)
  const taken = await send({ ...order, body: { autoImprove: true } })
  expect([taken.status, taken.headers.get('idempotent-replayed')]).toEqual([200, null])
  await change("expires_at = clock_timestamp() - interval '1 second'")
  expect((await send({ ...order, body: { autoImprove: false } })).status).toBe(200)
})

test('credentials are kept five minutes, other replies a day, and the sweep forgets them', async () => {
  const kept = async (key: string) => {
    const { rows } = await api.database.pool.query<{ seconds: number }>(
      'SELECT round(extract(epoch FROM expires_at - clock_timestamp()))::int AS seconds FROM idempotent_reply WHERE key = $1',
      [key],
    )
    return rows[0]?.seconds ?? 0
  }
  const [secret, plain] = [freshKey(), freshKey()]
  await send({ ...(await answeredChallenge('/auth')), method: 'POST', headers: secret })
  await send({ ...create, headers: plain })
  expect(await kept(secret['idempotency-key'])).toBeLessThanOrEqual(300)
  expect(await kept(plain['idempotency-key'])).toBeGreaterThan(86_000)
  await api.database.pool.query("UPDATE idempotent_reply SET expires_at = clock_timestamp() - interval '1 second'")
  while ((await dropOldReplies(api.database.pool, 2)) > 0) continue
  expect(await storedKeys()).toBe(0)
})

test('a signed challenge planted in another browser signs nobody in, key or no key', async () => {
  const order = await answeredChallenge('/auth')
  const headers = freshKey()
  expect((await send({ ...order, method: 'POST', headers })).status).toBe(200)
  const cookie = `__Host-gatehouse-challenge=${'a'.repeat(32)}`
  expect((await send({ ...order, method: 'POST', headers: { ...headers, cookie } })).status).toBe(422)
})

test('a credential that was answered is answered again to the credential that asked, to no other of its wallet', async () => {
  const order = { method: 'POST', path: '/auth/link', headers: freshKey() }
  const first = await send(order)
  expect(first.status).toBe(200)
  const other = await send({ ...order, token: await api.tokenOf(person.account) })
  expect(await codeOf(other)).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
  expect(await (await send(order)).text()).toBe(await first.text())
})

test('a wallet keeps so many keys at a time and no more', async () => {
  await api.database.pool.query(
    `INSERT INTO idempotent_reply (owner, route, key, body_hash, claim, claimed_until, expires_at)
     SELECT $1, 'r', n::text, '', gen_random_uuid(), now(), now() + interval '1 hour' FROM generate_series(1, $2::int) n`,
    [`wallet:${person.account.address.toLowerCase()}`, idempotentKeysPerOwnerMax],
  )
  const refused = await send({ ...create, headers: freshKey() })
  expect([refused.headers.get('retry-after'), ...(await codeOf(refused))]).toEqual(['60', 429, 'RATE_LIMITED'])
  expect((await send(create)).status).toBe(200)
})
