// Methods on routes: what is not executed, HEAD beside GET, and routes that may not be served at all.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { checkRoutes, type Route } from '../../api/route.ts'
import { createIdentityRig, type IdentityRig } from '../support/identity-rig.ts'
import { createProbes } from '../support/probe-routes.ts'

let rig: IdentityRig
const handled: unknown[] = []
const probes = createProbes(handled)

beforeAll(async () => {
  rig = await createIdentityRig({ routes: probes })
})
beforeEach(() => {
  handled.length = 0
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

test.each(['DELETE', 'PUT', 'PATCH', 'GET', 'OPTIONS'])('%s on a POST route is not executed', async (method) => {
  const reply = await rig.call(method, '/probe/body')
  expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'POST'])
  expect(((await reply.json()) as Record<string, unknown>)['code']).toBe('METHOD_NOT_ALLOWED')
  expect(handled).toEqual([])
})

// RFC 9110 §9.3.2: as GET, without the content.
test.each([
  ['/health', 200],
  ['/probe/fault/limited', 429],
  ['/wallet/balance', 401],
  ['/nowhere', 404],
])('HEAD of %s answers %s as GET does, and sends no content', async (path, status) => {
  const got = await rig.call('GET', path)
  const { port } = new URL(rig.base)
  const raw = await rig.raw(`HEAD ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`)
  const [head = '', content] = raw.split('\r\n\r\n')
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(content).toBe('')
  expect(got.status).toBe(status)
  for (const name of ['content-type', 'cache-control', 'retry-after'])
    expect(new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1] ?? null).toBe(got.headers.get(name))
})

test('HEAD of a stream says what it is and ends', async () => {
  const reply = await rig.call('HEAD', '/probe-stream')
  expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
  expect(handled).toEqual([])
})

test('a GET that works once has no HEAD, which would use it up', async () => {
  const reply = await rig.call('HEAD', '/probe-once')
  expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET'])
  expect(handled).toEqual([])
})

test.each<[string, Partial<Route>, string]>([
  ['without a guard', { guard: undefined as never }, 'no guard'],
  ['with an unknown guard', { guard: { kind: 'friend' } as never }, 'no guard'],
  ['that is public for no reason', { guard: { kind: 'public', because: '' } }, 'says nothing'],
  ['with a permission that nobody has', { guard: { kind: 'wallet', permission: 'root' } }, 'says nothing'],
])('a route %s does not start', (_name, changes, text) => {
  const [probe] = probes
  expect(() => checkRoutes([{ ...(probe as Route), ...changes }])).toThrow(text)
})

test('a route that is declared twice does not start', () => {
  const [probe] = probes
  expect(() => checkRoutes([probe as Route, probe as Route])).toThrow('twice')
})
