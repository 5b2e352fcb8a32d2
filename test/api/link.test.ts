// Sign-in links: a browser gets what the bearer had, once, within a minute, and nothing more.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { everyRoute } from '../support/every-route.ts'
import { createIdentityRig, issueWalletToken, temporalUiUrl, type IdentityRig } from '../support/identity-rig.ts'

let rig: IdentityRig

beforeAll(async () => {
  rig = await createIdentityRig()
})
beforeEach(async () => {
  rig.clock = () => new Date()
  await rig.forgetRates()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

async function linkOf(token: string): Promise<string> {
  const reply = await rig.call('POST', '/auth/link', { token })
  const { url, expiresIn } = (await reply.json()) as { url: string; expiresIn: number }
  expect([reply.status, expiresIn]).toEqual([200, 60])
  expect(url.startsWith(`${rig.base}/auth/link/`)).toBe(true)
  return url.slice(rig.base.length)
}

const open = (path: string, headers: Record<string, string> = {}) => rig.call('GET', path, { headers })
const cookieOf = (reply: Response) => reply.headers.get('set-cookie')?.split(';')[0] ?? ''

test('elsewhere than in development there are no such routes', () => {
  const paths = everyRoute({ links: undefined }).map(({ path }) => path)
  expect(paths.filter((path) => path.startsWith('/auth/link'))).toEqual([])
})

test('nobody, and no token with less than everything, opens a link', async () => {
  expect((await rig.call('POST', '/auth/link')).status).toBe(401)
  const { account } = await rig.signIn()
  for (const permissions of [['chat:*'], ['wallet:*', 'admin:*'], []]) {
    const token = await issueWalletToken(rig, account, { permissions })
    expect((await rig.call('POST', '/auth/link', { token })).status).toBe(403)
  }
  const confined = await issueWalletToken(rig, account, { permissions: ['*:*'], serverId: 'files' })
  expect((await rig.call('POST', '/auth/link', { token: confined })).status).toBe(403)
})

test('an unknown, a used and an old code sign nobody in', async () => {
  const { token } = await rig.signIn()
  expect((await open(`/auth/link/${'x'.repeat(32)}`)).status).toBe(404)
  const path = await linkOf(token)
  const replies = await Promise.all([open(path), open(path), open(path)])
  expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([302, 404, 404])
  const late = await linkOf(token)
  rig.clock = () => new Date(Date.now() + 60_001)
  expect((await open(late)).status).toBe(404)
})

test('a program that only looks at a link, as mail and chat do, does not use it up', async () => {
  const { token } = await rig.signIn()
  const path = await linkOf(token)
  expect((await rig.call('HEAD', path)).status).toBe(405)
  expect((await open(path)).status).toBe(302)
})

test('a link dies with the credential that opened it', async () => {
  const { token } = await rig.signIn()
  const path = await linkOf(token)
  await rig.call('POST', '/api/auth/revoke', { token, body: { all: true } })
  expect((await open(path)).status).toBe(404)
})

test('another page cannot sign its visitor in', async () => {
  const path = await linkOf((await rig.signIn()).token)
  for (const site of ['cross-site', 'same-site']) {
    expect((await open(path, { 'sec-fetch-site': site })).status).toBe(403)
  }
  expect((await open(path, { 'sec-fetch-site': 'none' })).status).toBe(302)
})

test('the browser gets a cookie that scripts cannot read and goes home; an operator to the Temporal UI', async () => {
  const { token, address } = await rig.signIn()
  const reply = await open(await linkOf(token))
  expect(reply.headers.get('location')).toBe('/')
  expect(reply.headers.get('set-cookie')).toMatch(
    /^__Host-gatehouse=[\w.-]+; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=\d+$/,
  )
  rig.members.set(address, { tenant: 'house', roles: ['operator'] })
  expect((await open(await linkOf(token))).headers.get('location')).toBe(temporalUiUrl)
})

test('the cookie opens what takes cookies, and changes something only beside our own Origin', async () => {
  const { token, address } = await rig.signIn()
  rig.members.set(address, { tenant: 'house', roles: ['operator'] })
  const headers = { cookie: cookieOf(await open(await linkOf(token))) }
  expect((await rig.call('GET', '/metrics', { headers })).status).toBe(200)
  expect((await rig.call('GET', '/wallet/balance', { headers })).status).toBe(401)
  const body = { all: true }
  expect((await rig.call('POST', '/api/auth/revoke', { body, headers })).status).toBe(403)
  const elsewhere = { ...headers, origin: 'http://127.0.0.1:8080' }
  expect((await rig.call('POST', '/api/auth/revoke', { body, headers: elsewhere })).status).toBe(403)
  const own = { ...headers, origin: rig.base }
  expect((await rig.call('POST', '/api/auth/revoke', { body, headers: own })).status).toBe(200)
  expect((await rig.call('GET', '/metrics', { headers })).status).toBe(401)
})

test('a session from a link never outlives the token that opened it', async () => {
  const { account } = await rig.signIn()
  const expiresAt = new Date(Date.now() + 600_000)
  const token = await issueWalletToken(rig, account, { permissions: ['*:*'], expiresAt })
  const cookie = cookieOf(await open(await linkOf(token))).split('=')[1]
  const principal = await rig.authenticate({ authorizationHeaders: [], cookie, remoteAddress: undefined })
  expect(principal.expiresAt.getTime()).toBeLessThanOrEqual(expiresAt.getTime())
  expect(principal.authenticatedAt).toBeUndefined() // no proof was signed with a time
})

test('a session from a link is as old as the proof behind it', async () => {
  const { token } = await rig.signIn()
  const proved = await rig.authenticate({
    authorizationHeaders: [`Bearer ${token}`],
    cookie: undefined,
    remoteAddress: undefined,
  })
  const link = await linkOf(token)
  rig.clock = () => new Date(Date.now() + 30_000)
  const cookie = cookieOf(await open(link)).split('=')[1]
  const principal = await rig.authenticate({ authorizationHeaders: [], cookie, remoteAddress: undefined })
  rig.clock = () => new Date()
  expect(principal.authenticatedAt).toEqual(proved.authenticatedAt)
})
