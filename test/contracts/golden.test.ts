// The golden suite: one raw request per contract row that is served, compared with a committed reply. It runs against a
// whole installation, so that a row is green only when a client of that shape would be served.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { privateKeyToAccount, generatePrivateKey } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { connectLedgerFacts } from '../support/ledger-facts.ts'
import { expectGolden, rememberRequests, withoutGolden } from '../support/golden.ts'
import { cancelCases, keyCases, longResultCases, moneyStopCase, ownAgentCases, rateCase } from './cases.ts'
import { policyCases } from './policy-cases.ts'
import { everyRoute } from '../support/every-route.ts'
import { startInstallation, until, type Installation } from '../support/installation.ts'
import { signIn, type Person } from '../support/person.ts'

let house: Installation
let base: string
let person: Person
let other: Person
let operator: Person
let sessionId: string

const stopRemembering = rememberRequests()

beforeAll(async () => {
  house = await startInstallation()
  const run = await house.run()
  base = run.api[0] ?? ''
  person = await signIn(base)
  other = await signIn(base)
  const maintainer = run.demo.find((identity) => identity.name === 'maintainer')
  operator = await signIn(base, readFileSync(maintainer?.keyFile ?? '', 'utf8').trim() as `0x${string}`)
  await person.json('POST', '/wallet/faucet')
  sessionId = await person.openSession()
}, 120_000)

// Everybody here signs in from one address; the limit of the door has tests of its own.
beforeEach(async () => {
  await using database = await connectLedgerFacts((await house.run()).databaseUrl)
  await database.query('DELETE FROM rate_bucket')
})

afterAll(async () => {
  stopRemembering()
  await house[Symbol.asyncDispose]()
}, 30_000)

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${base}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

test.each(['/auth', '/api/auth'])('2 challenge and verify under %s', async (prefix) => {
  const account = privateKeyToAccount(generatePrivateKey())
  const name = prefix.slice(1).replace('/', '-')
  const challenge = await fetch(`${base}${prefix}/challenge?walletAddress=${account.address}`)
  const copy = challenge.clone()
  await expectGolden(`2-${name}-challenge`, challenge)
  const { nonce, message } = (await copy.json()) as { nonce: string; message: string }
  const body = { walletAddress: account.address, nonce, signature: await account.signMessage({ message }) }
  await expectGolden(`2-${name}-verify`, await post(`${prefix}/verify`, body))
  await expectGolden(`2-${name}-verify-again`, await post(`${prefix}/verify`, body))
})

test.each([
  ['/api/auth', '2'],
  ['/auth', '2-auth'],
])('2 token-message and create-token under %s', async (prefix, name) => {
  const account = privateKeyToAccount(generatePrivateKey())
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
  const query = new URLSearchParams({ walletAddress: account.address, expiresAt, permissions: 'chat:*,wallet:read' })
  const rendered = await fetch(`${base}${prefix}/token-message?${query.toString()}`)
  const copy = rendered.clone()
  await expectGolden(`${name}-token-message`, rendered)
  const { message } = (await copy.json()) as { message: string }
  const signature = await account.signMessage({ message })
  const permissions = ['chat:*', 'wallet:read']
  const order = { walletAddress: account.address, signature, expiresAt, permissions }
  await expectGolden(`${name}-create-token`, await post(`${prefix}/create-token`, order))
})

test('14 a rate that is used up', async () => {
  expect(await rateCase(await house.run(), await signIn(base))).toBe(429)
})

test('2 revoke ends a token at once', async () => {
  const someone = await signIn(base)
  await expectGolden('2-revoke', await someone.call('POST', '/api/auth/revoke', { all: true }))
  await expectGolden('2-revoked', await someone.call('GET', '/wallet/balance'))
})

test('2 link gives a single-use address', async () => {
  const linked = await operator.call('POST', '/auth/link', {})
  const { url } = (await linked.clone().json()) as { url: string }
  await expectGolden('2-link', linked)
  await expectGolden('2-link-used', await fetch(url, { redirect: 'manual' }))
  await expectGolden('2-link-again', await fetch(url, { redirect: 'manual' }))
})

test('1 and 3: key sets, problems and the document of the routes', async () => {
  for (const name of ['jwks', 'audit-jwks']) {
    const reply = await fetch(`${base}/.well-known/${name}.json`)
    const { keys } = (await reply.clone().json()) as { keys: Record<string, unknown>[] }
    expect(keys.every((key) => !('d' in key))).toBe(true)
    await expectGolden(`3-${name}`, reply)
  }
  await expectGolden('1-problem', await fetch(`${base}/problems/insufficient-funds`))
  await expectGolden('1-problem-unknown', await fetch(`${base}/problems/nothing`))
  const document = await fetch(`${base}/openapi.json`)
  const committed = readFileSync(fileURLToPath(new URL('../../docs/openapi.json', import.meta.url)), 'utf8')
  expect(await document.clone().json()).toEqual(JSON.parse(committed))
  await expectGolden('1-openapi', document, '<docs/openapi.json>')
})

test('1 the same request under one key is answered from what was kept', async () => {
  expect(await keyCases(base, await signIn(base))).toEqual([200, 200, 422])
})

test('4 agents, list and detail', async () => {
  await expectGolden('4-agents', await fetch(`${base}/agents`))
  await expectGolden('4-agent', await fetch(`${base}/agents/assistant`))
  await expectGolden('4-agent-unknown', await fetch(`${base}/agents/nobody`))
})

test("4 agents of one's own: save, list, get, requirements, delete", async () => {
  expect(await ownAgentCases(await signIn(base), other)).toEqual([200, 400, 200, 200, 404, 200, 200])
})

test('5 sessions: create, list, get, delete', async () => {
  await expectGolden(
    '5-session-create',
    await person.call('POST', '/agents/assistant/sessions', { model: 'scripted-1' }),
  )
  await expectGolden(
    '5-session-unknown-model',
    await person.call('POST', '/agents/assistant/sessions', { model: 'nothing-9' }),
  )
  await expectGolden('5-session-foreign', await other.call('GET', `/agents/assistant/sessions/${sessionId}`))
  const mine = await signIn(base)
  const id = await mine.openSession()
  await expectGolden('5-sessions', await mine.call('GET', '/agents/assistant/sessions'))
  await expectGolden('5-wallet-sessions', await mine.call('GET', '/wallet/sessions'))
  await expectGolden('5-session', await mine.call('GET', `/agents/assistant/sessions/${id}`))
  await expectGolden('5-session-delete', await mine.call('DELETE', `/agents/assistant/sessions/${id}`))
  await expectGolden('5-session-deleted', await mine.call('GET', `/agents/assistant/sessions/${id}`))
})

test('5 chat answers with events, and replays the turn to a viewer', async () => {
  const path = `/agents/assistant/sessions/${sessionId}/chat`
  const reply = await person.call('POST', path, { message: 'add 2 and 40 with the tool' })
  const turnId = reply.headers.get('x-turn-id') ?? ''
  await expectGolden('5-chat', reply)
  await expectGolden(
    '5-turn-stream',
    await person.call('GET', `/agents/assistant/sessions/${sessionId}/turns/${turnId}/stream`),
  )
  await expectGolden('5-chat-empty', await person.call('POST', path, { message: '' }))
  const poor = await signIn(base)
  const theirs = await poor.openSession()
  await expectGolden(
    '5-chat-no-funds',
    await poor.call('POST', `/agents/assistant/sessions/${theirs}/chat`, { message: 'hello' }),
  )
  await poor.call('PUT', `/wallet/budgets/session/${theirs}`, { period: 'daily', limitMicroUsd: '1' })
  await expectGolden(
    '6.1-chat-over-budget',
    await poor.call('POST', `/agents/assistant/sessions/${theirs}/chat`, { message: 'hello' }),
  )
})

test('5 a turn is cancelled while it runs, and not after it ended', async () => {
  expect(await cancelCases(await house.run(), await signIn(base))).toEqual([202, 200, 409])
})

test('5 a long result is read whole by the call that it answers', async () => {
  expect(await longResultCases(await house.run(), await signIn(base))).toEqual([200, 404])
})

test('5 and 6: stopped money is 503, and says when to come again', async () => {
  expect(await moneyStopCase(await house.run(), await signIn(base))).toBe(503)
})

test('6 wallet balance and transactions', async () => {
  const fresh = await signIn(base)
  await expectGolden('6-balance', await fresh.call('GET', '/wallet/balance'))
  await expectGolden('6-faucet', await fresh.call('POST', '/wallet/faucet'))
  await expectGolden('6-faucet-again', await fresh.call('POST', '/wallet/faucet'))
  await expectGolden('6-transactions', await fresh.call('GET', '/wallet/transactions?limit=10'))
  await expectGolden(
    '6.1-budget',
    await fresh.call('PUT', '/wallet/budgets/agent/assistant', { period: 'weekly', limitMicroUsd: 5000 }),
  )
  await expectGolden('6.1-budgets', await fresh.call('GET', '/wallet/budgets'))
  await expectGolden(
    '6.1-budget-unknown',
    await fresh.call('PUT', '/wallet/budgets/agent/nobody', { period: 'daily', limitMicroUsd: '1' }),
  )
  await expectGolden('6.1-budget-removed', await fresh.call('DELETE', '/wallet/budgets/agent/assistant/weekly'))
  await expectGolden('6-transactions-bad-page', await fresh.call('GET', '/wallet/transactions?limit=100000'))
})

test('6 settings and runtime scopes', async () => {
  const fresh = await signIn(base)
  await fresh.json('POST', '/wallet/faucet')
  await expectGolden('6-settings', await fresh.call('GET', '/wallet/settings'))
  await expectGolden(
    '6-settings-changed',
    await fresh.call('PUT', '/wallet/settings', { plan: 'byok', improveSchedule: 'daily' }),
  )
  await expectGolden('6-settings-unknown', await fresh.call('PUT', '/wallet/settings', { colour: 'red' }))
  const scopes = '/wallet/runtime-scopes'
  const made = await fresh.call('POST', scopes, { name: 'one', externalRef: 'crm-7', budgetMicrousd: '10' })
  const { id } = (await made.clone().json()) as { id: string }
  await expectGolden('6-scope', made)
  await expectGolden('6-scope-enabled', await fresh.call('POST', `${scopes}/${id}/servers/everything/enable`))
  await expectGolden('6-scope-disabled', await fresh.call('POST', `${scopes}/${id}/servers/everything/disable`))
  await expectGolden('6-scopes', await fresh.call('GET', scopes))
  await expectGolden('6-scope-read', await fresh.call('GET', `${scopes}/${id}`))
  await expectGolden('6-scope-foreign', await other.call('GET', `${scopes}/${id}`))
  const session = await fresh.openSession()
  const chat = `/agents/assistant/sessions/${session}/chat?scopeId=${id}`
  await expectGolden('6-scope-over-budget', await fresh.call('POST', chat, { message: 'hello' }))
  await expectGolden('6-scope-paused', await fresh.call('PUT', `${scopes}/${id}`, { status: 'paused' }))
  await expectGolden('6-scope-chat-paused', await fresh.call('POST', chat, { message: 'hello' }))
  await expectGolden('6-scope-archived', await fresh.call('DELETE', `${scopes}/${id}`))
  await expectGolden('6-scope-changed-archived', await fresh.call('PUT', `${scopes}/${id}`, { name: 'x' }))
  await fresh.json('PUT', '/wallet/settings', { minimumBalanceMicroUsd: '10000000' })
  await expectGolden(
    '6.1-minimum-balance',
    await fresh.call('POST', `/agents/assistant/sessions/${session}/chat`, { message: 'hello' }),
  )
  await expectGolden('6-transactions-by-type', await fresh.call('GET', '/wallet/transactions?type=settlement'))
})

test('15 audit: records, checkpoints, verification, exports and keys', async () => {
  const poor = await signIn(base)
  await poor.openSession()
  await until(async () => ((await poor.json('GET', '/api/v1/audit'))['records'] as unknown[]).length === 1, 10_000)
  await expectGolden('15-audit', await poor.call('GET', '/api/v1/audit?decision=allow&limit=1'))
  await expectGolden('15-audit-unknown-filter', await poor.call('GET', '/api/v1/audit?colour=red'))
  await expectGolden('15-audit-foreign', await poor.call('GET', `/api/v1/audit?wallet=${other.address}`))
  await expectGolden('15-checkpoints', await poor.call('GET', '/api/v1/audit/checkpoints'))
  await expectGolden('15-verify', await poor.call('POST', '/api/v1/audit/verify', {}))
  await expectGolden('15-verify-foreign', await poor.call('POST', '/api/v1/audit/verify', { tenant: 'demo' }))
  await expectGolden('15-export', await poor.call('GET', '/api/v1/audit/export?after=0&to=1'))
  await expectGolden('15-export-redacted', await poor.call('GET', '/api/v1/audit/export?after=0&to=1&redact=true'))
  await expectGolden('15-export-no-part', await poor.call('GET', '/api/v1/audit/export'))
  await expectGolden(
    '15-export-foreign',
    await poor.call('GET', `/api/v1/audit/export?after=0&tenant=${other.address}`),
  )
  const someRecord = '11111111-1111-4111-8111-111111111111'
  await expectGolden('15-payload-none', await poor.call('GET', `/api/v1/audit/payload?record=${someRecord}`))
  await expectGolden('15-payload-malformed', await poor.call('GET', '/api/v1/audit/payload?record=7'))
})

test('1.2 and 1.3: what is refused says why in the family of the route', async () => {
  await expectGolden('1-no-credential', await fetch(`${base}/wallet/balance`))
  await expectGolden(
    '1-bad-credential',
    await fetch(`${base}/wallet/balance`, { headers: { authorization: 'Bearer garbage' } }),
  )
  await expectGolden('1-route-unknown', await fetch(`${base}/nowhere`))
  await expectGolden('1-method', await fetch(`${base}/auth/verify`))
  await expectGolden(
    '1-not-json',
    await fetch(`${base}/auth/verify`, { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } }),
  )
  await expectGolden(
    '1-malformed',
    await fetch(`${base}/auth/verify`, { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } }),
  )
  await expectGolden('1-origin', await fetch(`${base}/agents`, { headers: { origin: 'http://elsewhere.example' } }))
})

test('17 policies of operators', async () => {
  expect(await policyCases(operator, person)).toBe(404)
})

test('10 health, ready, counters for operators only, and the codec', async () => {
  await expectGolden('10-health', await fetch(`${base}/health`))
  await expectGolden('10-ready', await fetch(`${base}/ready`))
  await expectGolden('10-metrics-refused', await person.call('GET', '/metrics'))
  await expectGolden('10-metrics', await operator.call('GET', '/metrics'), '<counters>')
  await expectGolden('10-codec-refused', await person.call('POST', '/temporal/codec/decode', { payloads: [] }))
  const encoded = await operator.call('POST', '/temporal/codec/encode', {
    payloads: [{ metadata: { encoding: btoa('json/plain') }, data: btoa('"hello"') }],
  })
  const { payloads } = (await encoded.clone().json()) as { payloads: { metadata: Record<string, string> }[] }
  expect(atob(payloads[0]?.metadata['encoding'] ?? '')).toBe('binary/encrypted')
  await expectGolden('10-codec-encode', encoded, '<ciphertext>')
  await expectGolden('10-codec-decode', await operator.call('POST', '/temporal/codec/decode', { payloads }))
})

// The last of the file: it looks back at all of them. Payloads are not kept unless somebody asks for it.
test('every route that is served has a golden case', () => {
  expect(withoutGolden(everyRoute())).toEqual(['GET /api/v1/audit/payload'])
})
