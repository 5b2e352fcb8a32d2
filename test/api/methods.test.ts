// Methods on routes: what is not executed, and routes that may not be served at all.
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
