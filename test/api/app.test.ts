// The frame around every route: what never reaches a handler, and what every reply carries.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { jsonDepthMax } from '../../domain/limits.ts'
import { createIdentityRig, issueWalletToken, temporalUiUrl, type IdentityRig } from '../support/identity-rig.ts'
import { createProbes } from '../support/probe-routes.ts'

let rig: IdentityRig

const handled: unknown[] = []
const probes = createProbes(handled)

beforeAll(async () => {
  rig = await createIdentityRig({ routes: probes })
})
beforeEach(async () => {
  handled.length = 0
  await rig.forgetRates()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

type Refusal = Readonly<Record<string, unknown>>
const bodyOf = async (reply: Response) => (await reply.json()) as Refusal
const deep = (levels: number) => `{"note":${'['.repeat(levels)}${']'.repeat(levels)}}`

test.each<[string, string, Record<string, string>, number, string]>([
  ['text', 'hello', { 'content-type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
  ['a form', 'note=1', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
  ['a compressed body', '{}', { 'content-encoding': 'gzip' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
  ['half of an object', '{', {}, 400, 'MALFORMED_REQUEST'],
  ['JSON that is no object', '"x"', {}, 400, 'VALIDATION_ERROR'],
  ['a bare NaN', '{"note":NaN}', {}, 400, 'MALFORMED_REQUEST'],
  ['a body beyond the bound', JSON.stringify({ note: 'x'.repeat(1_000) }), {}, 413, 'PAYLOAD_TOO_LARGE'],
  ['a body that is too deep', deep(jsonDepthMax), {}, 400, 'MALFORMED_REQUEST'],
])('%s is refused before the handler', async (...row) => {
  const [, body, headers, status, code] = row
  const reply = await rig.call('POST', '/probe/body', { body, headers })
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([status, code])
  expect(handled).toEqual([])
})

test('bytes that are no UTF-8 are refused', async () => {
  const reply = await fetch(`${rig.base}/probe/body`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: Buffer.from([0x22, 0xff, 0x22]),
  })
  expect(reply.status).toBe(400)
})

test('a body without a length is cut at the bound', async () => {
  const chunk = 'x'.repeat(500)
  const chunks = Array.from({ length: 4 }, () => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')
  const head = `POST /probe/body HTTP/1.1\r\nHost: ${rig.host}\r\nContent-Type: application/json\r\n`
  const reply = await rig.raw(`${head}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`)
  expect(reply).toMatch(/^HTTP\/1\.1 413 /)
})

test.each([
  ['the deepest body', deep(jsonDepthMax - 1)],
  ['JSON with a charset', '{"note":"ü"}'],
  ['unknown fields of a compatible family', '{"note":1,"more":2}'],
])('%s is accepted', async (_name, body) => {
  const headers = { 'content-type': 'application/json; charset=utf-8' }
  expect((await rig.call('POST', '/probe/body', { body, headers })).status).toBe(200)
  expect(handled).toHaveLength(1)
  expect(handled[0]).not.toHaveProperty('more')
})

test('unknown fields of the control family are refused as a problem', async () => {
  const reply = await rig.call('POST', '/api/v1/probe', { body: { note: 'x', more: 1 } })
  expect(reply.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(await bodyOf(reply)).toMatchObject({
    type: '/problems/request-invalid',
    title: 'The request is not valid.',
    status: 400,
    code: 'request-invalid',
    instance: reply.headers.get('x-request-id'),
  })
  expect(handled).toEqual([])
})

test.each(['evil.example', '127.0.0.1', '127.0.0.1:1', 'localhost', '127.0.0.1.evil.example:80', ''])(
  'the host name %j is not served',
  async (host) => {
    const reply = await rig.raw(`GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    expect(reply).toMatch(/^HTTP\/1\.1 403 /)
    expect(reply).toContain('HOST_REFUSED')
  },
)

test.each(['127.0.0.1', 'localhost', 'LOCALHOST', '[::1]'])('the host name %s is served at our port', async (name) => {
  const port = rig.host.split(':')[1]
  const reply = await rig.raw(`GET /health HTTP/1.1\r\nHost: ${name}:${port}\r\nConnection: close\r\n\r\n`)
  expect(reply).toMatch(/^HTTP\/1\.1 200 /)
})

test.each(['http://evil.example', 'null', 'https://127.0.0.1', temporalUiUrl])(
  'the origin %s is refused, also on public routes',
  async (origin) => {
    const reply = await rig.call('GET', '/health', { headers: { origin } })
    expect([reply.status, (await bodyOf(reply))['code']]).toEqual([403, 'ORIGIN_REFUSED'])
    expect(reply.headers.get('access-control-allow-origin')).toBeNull()
  },
)

test('our own origin is served', async () => {
  expect((await rig.call('GET', '/health', { headers: { origin: rig.base } })).status).toBe(200)
})

test.each(['/nowhere', '/probe', '/../etc/passwd', '/problems/none'])('there is nothing at %s', async (path) => {
  expect((await rig.call('GET', path)).status).toBe(404)
})

test.each(['/probe/%E0%A4%A', '/probe/a%00b', '/health?x=%00'])('the address %s is malformed', async (path) => {
  const reply = await rig.call('GET', path)
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([400, 'MALFORMED_REQUEST'])
})

test('two Authorization headers are refused, though either were good', async () => {
  const { token } = await rig.signIn()
  const header = `Authorization: Bearer ${token}\r\n`
  const head = `POST /api/auth/revoke HTTP/1.1\r\nHost: ${rig.host}\r\nContent-Length: 0\r\nConnection: close\r\n`
  expect(await rig.raw(`${head}${header}${header}\r\n`)).toMatch(/^HTTP\/1\.1 401 /)
  expect(await rig.raw(`${head}${header}\r\n`)).toMatch(/^HTTP\/1\.1 400 /)
})

test('a credential without the permission or the role is told so', async () => {
  const { account, token } = await rig.signIn()
  const chatter = await issueWalletToken(rig, account, { permissions: ['chat:*'] })
  const refused = await rig.call('POST', '/api/auth/revoke', { token: chatter, body: { all: true } })
  expect([refused.status, await bodyOf(refused)]).toEqual([
    403,
    {
      error: 'INSUFFICIENT_PERMISSIONS',
      code: 'INSUFFICIENT_PERMISSIONS',
      message: 'The credential lacks wallet:revoke.',
      permission: 'wallet:revoke',
    },
  ])
  expect((await rig.call('GET', '/metrics', { token })).status).toBe(403)
})

test('a token that is confined to one tool server opens nothing else', async () => {
  const { account } = await rig.signIn()
  const token = await issueWalletToken(rig, account, { permissions: ['*:*'], serverId: 'files' })
  expect((await rig.call('POST', '/api/auth/revoke', { token, body: { all: true } })).status).toBe(403)
})

test('a bug is 500 without a detail, and is logged', async () => {
  const reply = await rig.call('GET', '/probe/fault/bug')
  const text = await reply.text()
  expect([reply.status, text.includes('INTERNAL_ERROR'), text.includes('secret')]).toEqual([500, true, false])
  expect(rig.log.filter((line) => line.includes('a secret detail'))).toHaveLength(1)
})

test('a reply outside its schema or with an undeclared status is our bug, and does not leave', async () => {
  for (const kind of ['schema', 'status']) {
    const reply = await rig.call('GET', `/probe/fault/${kind}`)
    expect([reply.status, (await reply.text()).includes('leaked')]).toEqual([500, false])
  }
})

test('a database that is gone is 503, and only named details leave', async () => {
  const gone = await rig.call('GET', '/probe/fault/database')
  expect([gone.status, gone.headers.get('retry-after')]).toEqual([503, '2'])
  const limited = await rig.call('GET', '/probe/fault/limited')
  expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '2'])
  const funds = await bodyOf(await rig.call('GET', '/probe/fault/funds'))
  expect(funds).toEqual({
    error: 'INSUFFICIENT_FUNDS',
    code: 'INSUFFICIENT_FUNDS',
    message: 'Not enough.',
    required: '5',
  })
})

test('every reply carries its ids and is not stored; a valid traceparent is continued', async () => {
  const traceId = 'a'.repeat(32)
  const sent = (traceparent: string) => rig.call('GET', '/health', { headers: { traceparent } })
  const reply = await sent(`00-${traceId}-${'b'.repeat(16)}-01`)
  expect(reply.headers.get('x-trace-id')).toBe(traceId)
  expect(reply.headers.get('x-span-id')).toMatch(/^(?!b{16})[0-9a-f]{16}$/)
  expect(reply.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  expect(reply.headers.get('cache-control')).toBe('no-store')
  for (const name of ['x-powered-by', 'etag', 'set-cookie']) expect(reply.headers.get(name)).toBeNull()
  const invalid = [
    'garbage',
    `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `ff-${traceId}-${'b'.repeat(16)}-01`,
  ]
  for (const traceparent of invalid) {
    const other = (await sent(traceparent)).headers.get('x-trace-id')
    expect(other).toMatch(/^[0-9a-f]{32}$/)
    expect([traceId, '0'.repeat(32)]).not.toContain(other)
  }
})

test('ready says which part is missing, health says what is degraded', async () => {
  expect(await bodyOf(await rig.call('GET', '/ready'))).toEqual({
    ready: true,
    checks: { database: 'ok', temporal: 'ok', revocations: 'ok' },
    money: 'ok',
    policy: 'ok',
  })
  rig.isTemporalUp = false
  await expect.poll(async () => (await rig.call('GET', '/ready')).status).toBe(503)
  const reply = await rig.call('GET', '/ready')
  expect(reply.headers.get('retry-after')).toBe('2')
  expect(await bodyOf(reply)).toMatchObject({ ready: false, checks: { temporal: 'failed', database: 'ok' } })
  rig.isTemporalUp = true
  expect(await bodyOf(await rig.call('GET', '/health'))).toMatchObject({
    status: 'ok',
    securityPosture: { attestationAvailability: { teeEnabled: false }, degraded: true },
  })
})
