// Requests that no honest client makes: what the door itself must see through before any route is asked.
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { authRequestsPerMinuteMax } from '../../domain/limits.ts'
import { createIdentityRig, type IdentityRig } from '../support/identity-rig.ts'

let rig: IdentityRig
let proxied: IdentityRig

beforeAll(async () => {
  rig = await createIdentityRig()
  proxied = await createIdentityRig({ proxies: 1 })
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await proxied[Symbol.asyncDispose]()
})

// A rig behind one proxy, which appends to X-Forwarded-For the address that it saw.
const asked = (path: string, forwarded: string) =>
  proxied.call('GET', path, { headers: { 'x-forwarded-for': forwarded } })
const spend = async (forwarded: (index: number) => string, from = proxied) => {
  const statuses: number[] = []
  for (let index = 0; index <= authRequestsPerMinuteMax; index += 1) {
    const headers = { 'x-forwarded-for': forwarded(index) }
    statuses.push((await from.call('GET', '/auth/challenge', { headers })).status)
  }
  return statuses.at(-1)
}

test('without proxies X-Forwarded-For means nothing, with one only what that one wrote', async () => {
  expect(await spend((index) => `192.0.2.${index}`, rig)).toBe(429)
  expect(await spend((index) => `192.0.2.${index}, 198.51.100.1`)).toBe(429)
  expect(await spend((index) => `garbage ${index}, 198.51.100.${index}`)).toBe(200)
})

test('callers behind a proxy do not share a limit, and none of them is on loopback', async () => {
  await proxied.forgetRates()
  expect(await spend(() => '198.51.100.1')).toBe(429)
  expect((await asked('/auth/challenge', '198.51.100.2')).status).toBe(200)
  expect((await asked(`/auth/link/${'x'.repeat(20)}`, '198.51.100.2')).status).toBe(404)
  const { token } = await proxied.signIn()
  const headers = { 'x-forwarded-for': '198.51.100.3' }
  const refused = await proxied.call('POST', '/auth/link', { token, headers })
  expect([refused.status, ((await refused.json()) as { message: string }).message]).toEqual([
    404,
    'There is nothing at this address.',
  ])
  expect((await proxied.call('POST', '/auth/link', { token })).status).toBe(200)
})

test.each([
  ['198.51.100.9:', (index: number) => `198.51.100.9:${40_000 + index}`],
  ['[2001:db8::9]:', (index: number) => `[2001:db8::9]:${40_000 + index}`],
])('a port behind %s makes no other caller', async (_name, forwarded) => {
  await proxied.forgetRates()
  expect(await spend(forwarded)).toBe(429)
})

test('what the last proxy wrote is no address: the proxy itself is the caller', async () => {
  await proxied.forgetRates()
  expect(await spend((index) => `unknown-${index}`)).toBe(429)
})

const get = (target: string, hosts: readonly string[]) => {
  const fields = hosts.map((host) => `Host: ${host}\r\n`).join('')
  return rig.raw(`GET ${target} HTTP/1.1\r\n${fields}Connection: close\r\n\r\n`)
}

// RFC 9112 §3.2: several Host fields are refused; §3.2.2: the authority of an absolute target counts.
test.each<[string, string, (host: string) => string[]]>([
  ['two Host fields', '/health', (host) => [host, 'evil.example']],
  ['the same Host field twice', '/health', (host) => [host, host]],
  ['a target with another authority', 'http://evil.example/health', (host) => [host]],
  ['a target with a user', 'http://user@evil.example/health', (host) => [host]],
  ['a target with another scheme', 'ftp://evil.example/health', (host) => [host]],
])('%s: the request is refused', async (_name, target, hosts) => {
  const reply = await get(target, hosts(rig.host))
  expect(reply).toMatch(/^HTTP\/1\.1 403 /)
  expect(reply).toContain('HOST_REFUSED')
})

test('a target with our own authority is served', async () => {
  expect(await get(`http://${rig.host}/health`, [rig.host])).toMatch(/^HTTP\/1\.1 200 /)
})

test('a client that leaves in the middle of its body is no bug of ours', async () => {
  const head = `POST /auth/verify HTTP/1.1\r\nHost: ${rig.host}\r\nContent-Type: application/json\r\n`
  const before = rig.log.length
  const socket = connect(Number(rig.host.split(':')[1]), '127.0.0.1')
  socket.write(`${head}Content-Length: 100\r\n\r\n{"nonce":`, () => setTimeout(() => socket.destroy(), 50))
  await expect.poll(() => rig.log.slice(before).join('')).toContain('"code":"request-malformed"')
  expect(rig.log.slice(before).join('')).not.toContain('a request met a bug')
})

test('whatever method somebody makes up, it opens no new series of the metrics', async () => {
  const { address, token } = await rig.signIn()
  rig.members.set(address, { tenant: 'house', roles: ['operator'] })
  for (const method of ['PROPFIND', 'SEARCH', 'LINK']) expect((await rig.call(method, '/health')).status).toBe(405)
  const text = await (await rig.call('GET', '/metrics', { token })).text()
  expect(text).not.toMatch(/PROPFIND|SEARCH|LINK/)
  expect(text).toContain('route="other /health",status="405"')
})

test('a body that nobody asked for is not read to its end: the connection closes after the reply', async () => {
  const head = `GET /health HTTP/1.1\r\nHost: ${rig.host}\r\n`
  expect(await rig.raw(`${head}Content-Length: 9999999\r\n\r\nabc`)).toMatch(
    /^HTTP\/1\.1 200 [\s\S]*connection: close/i,
  )
  expect(await rig.raw(`${head}Content-Length: 0\r\nConnection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /)
})
