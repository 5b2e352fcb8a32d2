// Walks over the whole route table: every route has a guard, and no guarded one lets a bad credential in.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { problemOf } from '../../api/problem.ts'
import { checkRoutes, type Route } from '../../api/route.ts'
import { isErrorCode } from '../../domain/errors.ts'
import { everyRoute } from '../support/every-route.ts'
import { createIdentityRig, issueWalletToken, type IdentityRig } from '../support/identity-rig.ts'

const routes = everyRoute()
const guarded = routes.filter(({ guard }) => guard.kind !== 'public')
const nameOf = ({ method, path }: Route) => `${method.toUpperCase()} ${path}`
const named = (list: readonly Route[]) => list.map((route) => [nameOf(route), route] as const)

let rig: IdentityRig
let bad: Readonly<Record<string, { readonly headers: Record<string, string>; readonly code: string }>>
let confined: string

beforeAll(async () => {
  rig = await createIdentityRig()
  const [mine, lost] = [await rig.signIn(), await rig.signIn()]
  await rig.call('POST', '/api/auth/revoke', { token: lost.token, body: { all: true } })
  const walletToken = await issueWalletToken(rig, mine.account)
  confined = await issueWalletToken(rig, mine.account, { permissions: ['*:*'], serverId: 'files' })
  rig.clock = () => new Date(Date.now() - 25 * 3_600_000)
  const old = await rig.signIn()
  rig.clock = () => new Date()
  const [head = '', body = '', signature = ''] = mine.token.split('.')
  const none = Buffer.from('{"alg":"none","typ":"at+jwt","kid":"x"}').toString('base64url')
  const flipped = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
  const bearer = (token: string, code: string) => ({ headers: { authorization: `Bearer ${token}` }, code })
  bad = {
    'no credential': { headers: {}, code: 'NO_IDENTITY_FOUND' },
    'an empty token': { headers: { authorization: 'Bearer' }, code: 'TOKEN_MALFORMED' },
    'Basic credentials': { headers: { authorization: 'Basic YTpi' }, code: 'TOKEN_MALFORMED' },
    garbage: bearer('garbage', 'TOKEN_MALFORMED'),
    'alg none': bearer(`${none}.${body}.`, 'TOKEN_MALFORMED'),
    'a changed signature': bearer(`${head}.${body}.${flipped}`, 'SIGNATURE_INVALID'),
    'an expired token': bearer(old.token, 'TOKEN_EXPIRED'),
    'a revoked token': bearer(lost.token, 'SESSION_REVOKED'),
    'half a wallet token': bearer(walletToken.slice(0, 200), 'TOKEN_MALFORMED'),
    'an unknown style': bearer('sk-live-0123456789', 'TOKEN_MALFORMED'),
    'an overlong token': bearer('a'.repeat(8_200), 'TOKEN_MALFORMED'),
    'a cookie of nothing': { headers: { cookie: '__Host-gatehouse=garbage' }, code: '' },
  }
})
beforeEach(() => rig.forgetRates())
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

/** An address of the route with something in every place. */
const addressOf = ({ path }: Route) => path.replace(/:[A-Za-z]+/g, '00000000-0000-4000-8000-000000000000')

const send = (route: Route, headers: Record<string, string>) =>
  rig.call(route.method.toUpperCase(), addressOf(route), {
    headers: { ...headers, origin: rig.base },
    ...(route.method === 'get' || route.method === 'delete' ? {} : { body: '{' }),
  })

test('the table is fit to be served, and most of it is guarded', () => {
  checkRoutes(routes)
  expect(guarded.length).toBeGreaterThan(10)
})

test.each(named(guarded))('%s answers 401 to every bad credential, before it reads anything', async (_name, route) => {
  for (const [credential, { headers, code }] of Object.entries(bad)) {
    const reply = await send(route, headers)
    const body = (await reply.json()) as Record<string, string>
    expect([credential, reply.status]).toEqual([credential, 401])
    expect(reply.headers.get('www-authenticate')).toBe('Bearer')
    expect(body['detail'] ?? body['message']).toBe('Authentication failed.')
    const said = body['code'] ?? ''
    const wire = isErrorCode(said) ? problemOf(said).wire : said // the control family says the code itself
    expect([credential, wire]).toEqual([credential, code === '' ? wire : code])
  }
})

test.each(named(guarded))('%s refuses a token that is confined to a tool server', async (_name, route) => {
  const reply = await send(route, { authorization: `Bearer ${confined}` })
  expect(reply.status).toBe(403)
})

test.each(named(guarded.filter(({ guard }) => guard.kind === 'operator')))('%s is for operators', async (...row) => {
  const { token } = await rig.signIn()
  expect((await send(row[1], { authorization: `Bearer ${token}` })).status).toBe(403)
})

test('anybody reads the description of the routes, operators read the counters', async () => {
  const { token, address } = await rig.signIn()
  rig.members.set(address, { tenant: 'house', roles: ['operator'] })
  const document = await rig.call('GET', '/openapi.json')
  expect(((await document.json()) as { openapi: string }).openapi).toBe('3.1.0')
  const metrics = await rig.call('GET', '/metrics', { token })
  expect(metrics.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(await metrics.text()).toContain('gatehouse_credentials_refused_total')
})

const methodsOf = ({ method, once }: Route) =>
  method === 'get' && once !== true ? ['GET', 'HEAD'] : [method.toUpperCase()]

test.each([...new Set(routes.map(({ path }) => path))])('%s executes no other method', async (path) => {
  const served = routes.filter((route) => route.path === path)
  const method = ['DELETE', 'PUT', 'PATCH'].find((each) => !served.some((route) => nameOf(route).startsWith(each)))
  const reply = await rig.call(method ?? 'PATCH', addressOf(served[0] as Route))
  expect(reply.status).toBe(405)
  expect(reply.headers.get('allow')).toBe(served.flatMap(methodsOf).join(', '))
})

test.each(named(routes))('%s refuses another host and another origin before all else', async (_name, route) => {
  const origin = await rig.call(route.method.toUpperCase(), addressOf(route), {
    headers: { origin: 'http://evil.example' },
  })
  expect(origin.status).toBe(403)
  const line = `${route.method.toUpperCase()} ${addressOf(route)} HTTP/1.1`
  const reply = await rig.raw(`${line}\r\nHost: evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
  expect(reply).toMatch(/^HTTP\/1\.1 403 /)
})

test('the control family takes no unknown fields', () => {
  for (const { body, family } of routes) {
    if (family !== 'control' || body === undefined) continue
    expect(z.toJSONSchema(body, { io: 'input' })['additionalProperties']).toBe(false)
  }
})
