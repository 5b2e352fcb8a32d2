// Over the whole route table: who is let in, what is refused before any work, and whose objects exist for whom.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApiDocument } from '../../api/openapi.ts'
import type { Route } from '../../api/route.ts'
import { postJson, startTestApi, testMasterKey, type TestApi } from '../support/api.ts'
import { everyRoute } from '../support/every-route.ts'
import { keepLongResult } from '../support/long-result.ts'
import { derivedTranscripts } from '../support/transcripts.ts'

const routes = everyRoute()
const guarded = routes.filter((route) => route.guard.kind !== 'public')
let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const someId = '11111111-1111-4111-8111-111111111111'
const pathOf = (path: string, ids: Readonly<Record<string, string>> = {}) =>
  path.replace(/:(\w+)/g, (_all, name: string) => {
    if (name === 'kind') return 'session'
    if (name === 'period') return 'daily'
    if (path.startsWith('/agents/custom')) return ids['agent'] ?? someId
    if (path.startsWith('/wallet/runtime-scopes')) return name === 'server' ? 'everything' : (ids['scope'] ?? someId)
    // A budget is named by what it limits, everything else by its agent.
    if (name === 'id' && !path.startsWith('/wallet/budgets')) return 'assistant'
    return ids[name === 'id' ? 'sid' : name] ?? someId
  })
const label = ({ method, path }: { method: string; path: string }) => `${method.toUpperCase()} ${path}`

test.each(guarded.map((route) => [label(route), route] as const))(
  '%s answers 401 to every bad credential',
  async (_label, route) => {
    for (const authorization of [undefined, 'Bearer garbage', 'Bearer mcpwt_e30', 'Basic eDp5', 'Bearer a.b.c']) {
      const reply = await fetch(api.url + pathOf(route.path), {
        method: route.method.toUpperCase(),
        headers: authorization === undefined ? {} : { authorization },
      })
      expect(reply.status).toBe(401)
      expect(reply.headers.get('www-authenticate')).toBe('Bearer')
    }
  },
)

const bodyOf = (route: Route) =>
  route.body ? { body: JSON.stringify({ message: 'hello', period: 'daily', limitMicroUsd: '1000000' }) } : {}

const ask = (route: Route, ids: Readonly<Record<string, string>>, authorization: string) =>
  fetch(api.url + pathOf(route.path, ids), {
    method: route.method.toUpperCase(),
    headers: { authorization, ...(route.body ? { 'content-type': 'application/json' } : {}) },
    ...bodyOf(route),
    signal: AbortSignal.timeout(5_000),
  })

// A session with a budget and a running turn with a long result, a runtime scope and an agent: whatever a by-id route may name.
async function possessions(authorization: string) {
  const headers = { authorization }
  await postJson(`${api.url}/wallet/faucet`, {}, headers)
  const created = await postJson(`${api.url}/agents/assistant/sessions`, {}, headers)
  const { id: sid } = (await created.json()) as { id: string }
  const find = (path: string, method: string) =>
    routes.find((each) => each.path.endsWith(path) && each.method === method)
  const chat = await ask(find('/chat', 'post') as Route, { sid }, authorization)
  const turnId = chat.headers.get('x-turn-id') ?? ''
  await chat.body?.cancel()
  const callId = 'toolu_1'
  const { pool } = api.database
  const transcripts = derivedTranscripts(pool, testMasterKey)
  await keepLongResult({ pool, transcripts }, { sessionId: sid, turnId, callId })
  await ask(find('/budgets/:kind/:id', 'put') as Route, { sid }, authorization)
  const scoped = await postJson(`${api.url}/wallet/runtime-scopes`, { name: 'x' }, headers)
  const { id: scope } = (await scoped.json()) as { id: string }
  const saved = await postJson(`${api.url}/agents/custom`, { definition: { id: 'clerk', name: 'Clerk' } }, headers)
  const { agentId: agent } = (await saved.json()) as { agentId: string }
  return { sid, turnId, callId, scope, agent }
}

test.each(routes.filter((route) => route.owns).map((route) => [label(route), route] as const))(
  "%s does not know another wallet's object, and knows the caller's own",
  async (_label, route) => {
    const [owner, stranger] = [await api.tokenOf(api.newWallet()), await api.tokenOf(api.newWallet())]
    const ids = await possessions(`Bearer ${owner}`)
    const strange = [ids]
    // A turn of the owner in a session of the stranger is no way round either.
    if (route.owns?.includes('turnId') === true)
      strange.push({ ...ids, sid: (await possessions(`Bearer ${stranger}`)).sid })
    for (const each of strange) expect((await ask(route, each, `Bearer ${stranger}`)).status).toBe(404)
    const own = await ask(route, ids, `Bearer ${owner}`)
    expect([200, 202]).toContain(own.status)
    await own.body?.cancel()
    await api.database.pool.query('DELETE FROM rate_bucket')
  },
)

test('every guarded route says which of its parameters name an object of a wallet', () => {
  const open = new Set(['kind', 'period', 'server']) // words of a fixed list
  const unnamed = guarded.flatMap((route) =>
    [...route.path.matchAll(/:(\w+)/g)]
      .map(([, name = '']) => name)
      .filter((name) => !open.has(name) && route.owns?.includes(name) !== true)
      .filter((name) => !(name === 'id' && route.path.startsWith('/agents/:id'))) // agents are everybody's
      .filter(() => !route.path.startsWith('/api/v1/policies')) // policies are the installation's
      .map((name) => `${label(route)} ${name}`),
  )
  expect(unnamed).toEqual([])
})

test.each(routes.filter((route) => route.body).map((route) => [label(route), route] as const))(
  '%s refuses what is no JSON of its shape',
  async (_label, route) => {
    const account = api.newWallet()
    api.roles.set(account.address.toLowerCase(), { tenant: 'demo', roles: ['operator'] })
    const token = await api.tokenOf(account)
    const send = (body: string, type = 'application/json') =>
      fetch(api.url + pathOf(route.path), {
        method: route.method.toUpperCase(),
        headers: { authorization: `Bearer ${token}`, 'content-type': type },
        body,
      })
    expect((await send('{"a":1}', 'text/plain')).status).toBe(415)
    expect((await send('{')).status).toBe(400)
    expect((await send('['.repeat(100) + ']'.repeat(100))).status).toBe(400)
    expect([400, 413]).toContain(
      (await send(JSON.stringify({ message: 5, walletAddress: 5, payloads: 5, tokenId: 5, model: 5, name: 5 }))).status,
    )
    await api.database.pool.query('DELETE FROM rate_bucket')
  },
)

test('a wrong method is 405 with what is allowed, an unknown path 404, an oversized body 413', async () => {
  const wrong = await fetch(`${api.url}/auth/verify`)
  expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST'])
  expect((await fetch(`${api.url}/nowhere`)).status).toBe(404)
  expect((await postJson(`${api.url}/auth/verify`, { nonce: 'x'.repeat(1_100_000) })).status).toBe(413)
})

test('a foreign Host and a foreign Origin are refused before any work', async () => {
  const { port } = new URL(api.url)
  const status = await new Promise<number | undefined>((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, path: '/agents', headers: { host: 'evil.example' } }, (reply) =>
      resolve(reply.resume().statusCode),
    )
      .on('error', reject)
      .end()
  })
  expect(status).toBe(403)
  expect((await fetch(`${api.url}/agents`, { headers: { origin: 'http://evil.example' } })).status).toBe(403)
  expect((await fetch(`${api.url}/agents`, { headers: { origin: 'http://127.0.0.1:8233' } })).status).toBe(403)
})

test('the codec answers the preflight of the Temporal UI without a credential, and decodes for operators only', async () => {
  const ui = { origin: 'http://127.0.0.1:8233' }
  const preflight = await fetch(`${api.url}/temporal/codec/decode`, { method: 'OPTIONS', headers: ui })
  expect([preflight.status, preflight.headers.get('access-control-allow-credentials')]).toEqual([204, 'true'])
  const token = await api.tokenOf(api.newWallet())
  expect(
    (await postJson(`${api.url}/temporal/codec/decode`, { payloads: [] }, { ...ui, authorization: `Bearer ${token}` }))
      .status,
  ).toBe(403)
  const account = api.newWallet()
  api.roles.set(account.address.toLowerCase(), { tenant: 'demo', roles: ['operator'] })
  const operator = { ...ui, authorization: `Bearer ${await api.tokenOf(account)}` }
  const clear = [{ metadata: { encoding: btoa('json/plain') }, data: btoa('"words"') }]
  const encoded = (await (
    await postJson(`${api.url}/temporal/codec/encode`, { payloads: clear }, operator)
  ).json()) as { payloads: unknown[] }
  expect(JSON.stringify(encoded)).not.toContain(btoa('"words"'))
  const decoded = await postJson(`${api.url}/temporal/codec/decode`, encoded, operator)
  expect(await decoded.json()).toEqual({ payloads: clear })
})

test('two Authorization headers are refused', async () => {
  const { port } = new URL(api.url)
  const token = await api.tokenOf(api.newWallet())
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const headers = [
      'host',
      `127.0.0.1:${port}`,
      'authorization',
      `Bearer ${token}`,
      'authorization',
      `Bearer ${token}`,
    ]
    httpRequest({ host: '127.0.0.1', port, path: '/wallet/balance', headers: headers as never }, (reply) =>
      resolve(reply.resume().statusCode),
    )
      .on('error', reject)
      .end()
  })
  expect(status).toBe(401)
})

test('docs/openapi.json is what the routes print', () => {
  const committed = readFileSync(fileURLToPath(new URL('../../docs/openapi.json', import.meta.url)), 'utf8')
  expect(JSON.parse(JSON.stringify(openApiDocument(routes, '0.1.0')))).toEqual(JSON.parse(committed))
})
