// HEAD: what GET says before its content, and nothing that GET would do.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { route, type Route } from '../../api/route.ts'
import { GatewayError } from '../../domain/errors.ts'
import { createIdentityRig, type IdentityRig } from '../support/identity-rig.ts'

let rig: IdentityRig
let handled: unknown[] = []

const guard = { kind: 'public', because: 'A suite asks.' } as const
const common = { family: 'wallet', summary: 'A probe.', guard } as const

const probes: Route[] = [
  route({
    ...common,
    method: 'get',
    path: '/probe-stream',
    responses: { 200: 'events' },
    handle: async () => ({ stream: async () => void handled.push('streamed') }),
  }),
  route({
    ...common,
    method: 'get',
    path: '/probe-once',
    once: true,
    responses: { 200: null },
    async handle() {
      handled.push('used')
      return { status: 200 }
    },
  }),
  route({
    ...common,
    method: 'get',
    path: '/probe-limited',
    responses: { 200: null },
    async handle() {
      throw new GatewayError('rate-limited', 'Slower.', { retryAfterMs: 1_500 })
    },
  }),
]

beforeAll(async () => {
  rig = await createIdentityRig({ routes: probes })
})
beforeEach(() => {
  handled = []
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

// RFC 9110 §9.3.2: as GET, without the content.
test.each([
  ['/health', 200],
  ['/probe-limited', 429],
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
