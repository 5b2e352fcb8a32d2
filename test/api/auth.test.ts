// Signing in over HTTP: what is refused and writes nothing, then what works, on both prefixes.
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { authRequestsPerMinuteMax } from '../../domain/limits.ts'
import { tokenIdOf } from '../../sdk/auth.ts'
import { createIdentityRig, issueWalletToken, tokenOrder, type IdentityRig } from '../support/identity-rig.ts'

let rig: IdentityRig
const account = privateKeyToAccount(generatePrivateKey())
const stranger = privateKeyToAccount(generatePrivateKey())

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

const publicText = 'Authentication failed.'
const bodyOf = async (reply: Response) => (await reply.json()) as Record<string, string>
const sessions = async () => Number((await rig.pool.query('SELECT count(*) AS n FROM session_node')).rows[0]?.n)

async function challenge(query = `?walletAddress=${account.address}`, headers: Record<string, string> = {}) {
  const reply = await rig.call('GET', `/auth/challenge${query}`, { headers })
  const { nonce = '', message = '' } = await bodyOf(reply)
  return { nonce, message, cookie: reply.headers.get('set-cookie') }
}

async function proof(changes: Record<string, unknown> = {}) {
  const { nonce, message } = await challenge()
  const signature = await account.signMessage({ message })
  return { walletAddress: account.address, nonce, signature, ...changes }
}

const verify = (body: unknown, headers: Record<string, string> = {}) =>
  rig.call('POST', '/auth/verify', { body, headers })

async function expectRefused(reply: Response, status: number, code: string): Promise<void> {
  const body = await bodyOf(reply)
  // Only failures of authentication share one text.
  const text = status === 401 ? publicText : body['message']
  expect([reply.status, body['code'], body['error'], body['message']]).toEqual([status, code, code, text])
}

test.each<[string, () => Promise<unknown>, number, string]>([
  ['an unknown nonce', () => proof({ nonce: 'f'.repeat(32) }), 401, 'CHALLENGE_EXPIRED'],
  ['a nonce with a NUL', () => proof({ nonce: 'a\u0000' }), 400, 'VALIDATION_ERROR'],
  ['another wallet', () => proof({ walletAddress: stranger.address }), 401, 'ADDRESS_MISMATCH'],
  [
    'a stranger’s signature',
    async () => proof({ signature: await stranger.signMessage({ message: 'x' }) }),
    401,
    'ADDRESS_MISMATCH',
  ],
  ['64 bytes of signature', async () => proof({ signature: `0x${'1'.repeat(128)}` }), 401, 'SIGNATURE_INVALID'],
  ['no signature', () => proof({ signature: '' }), 401, 'SIGNATURE_INVALID'],
  ['a number as signature', () => proof({ signature: 5 }), 400, 'VALIDATION_ERROR'],
  ['test mode', () => proof({ testMode: true }), 400, 'VALIDATION_ERROR'],
  ['test mode off', () => proof({ testMode: false }), 400, 'VALIDATION_ERROR'],
  ['an ENS name', () => proof({ walletAddress: 'vitalik.eth' }), 400, 'VALIDATION_ERROR'],
  ['a mistyped checksum', () => proof({ walletAddress: mistyped(account.address) }), 400, 'VALIDATION_ERROR'],
  ['no body', async () => ({}), 400, 'VALIDATION_ERROR'],
  ['a list', async () => [], 400, 'VALIDATION_ERROR'],
])('%s signs nobody in', async (...row) => {
  const [, body, status, code] = row
  const before = await sessions()
  await expectRefused(await verify(await body()), status, code)
  expect(await sessions()).toBe(before)
})

/** Swaps the case of the last letter. */
function mistyped(address: string): string {
  const index = Array.from(address).findLastIndex((character) => /[a-fA-F]/.test(character))
  const letter = address.charAt(index)
  const swapped = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()
  return address.slice(0, index) + swapped + address.slice(index + 1)
}

test('an answer is good once, however many come at the same time', async () => {
  const answer = await proof()
  const replies = await Promise.all(Array.from({ length: 4 }, () => verify(answer)))
  expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401, 401, 401])
  await expectRefused(await verify(answer), 401, 'CHALLENGE_EXPIRED')
})

test('five wrong answers burn a challenge', async () => {
  const answer = await proof()
  const wrong = await stranger.signMessage({ message: 'x' })
  for (let round = 0; round < 5; round += 1) {
    await expectRefused(await verify({ ...answer, signature: wrong }), 401, 'ADDRESS_MISMATCH')
  }
  await expectRefused(await verify(answer), 401, 'CHALLENGE_EXPIRED')
})

test('four wrong answers leave one', async () => {
  const answer = await proof()
  const wrong = `0x${'0'.repeat(130)}`
  for (let round = 0; round < 4; round += 1) await verify({ ...answer, signature: wrong })
  expect((await verify(answer)).status).toBe(200)
})

test('a challenge lives for five minutes', async () => {
  const answer = await proof()
  rig.clock = () => new Date(Date.now() + 300_001)
  await expectRefused(await verify(answer), 401, 'CHALLENGE_EXPIRED')
})

test('a challenge that a browser asked for is answered by that browser only', async () => {
  const { nonce, message, cookie } = await challenge(undefined, { origin: rig.base })
  expect(cookie).toMatch(/^__Host-gatehouse-challenge=[\w-]+; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=300$/)
  const answer = { walletAddress: account.address, nonce, signature: await account.signMessage({ message }) }
  await expectRefused(await verify(answer), 401, 'CHALLENGE_EXPIRED')
  const other = { cookie: `__Host-gatehouse-challenge=${'a'.repeat(32)}` }
  await expectRefused(await verify(answer, other), 401, 'CHALLENGE_EXPIRED')
  expect((await verify(answer, { cookie: cookie?.split(';')[0] ?? '' })).status).toBe(200)
})

test('the text names the configured host, whatever the request says', async () => {
  const { message, cookie } = await challenge(undefined, { 'x-forwarded-host': 'evil.example' })
  expect(message.split('\n')[0]).toBe(`${rig.host} wants you to sign in with your Ethereum account:`)
  expect(message).toContain(`URI: ${rig.base}`)
  expect(cookie).toBeNull()
})

test.each(['/auth', '/api/auth'])('challenge and verify under %s sign a wallet in', async (prefix) => {
  const asked = await rig.call('GET', `${prefix}/challenge`)
  const { nonce, message = '' } = await bodyOf(asked)
  expect(nonce).toMatch(/^[0-9a-z]{22,}$/)
  const body = { walletAddress: account.address, nonce, signature: await account.signMessage({ message }) }
  const {
    token = '',
    expiresAt = '',
    walletAddress,
  } = await bodyOf(await rig.call('POST', `${prefix}/verify`, { body }))
  expect(walletAddress).toBe(account.address.toLowerCase())
  expect(Math.round((Date.parse(expiresAt) - Date.now()) / 3_600_000)).toBe(24)
  const [header, claims] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString('utf8'))
  expect(JSON.parse(header ?? '')).toMatchObject({ alg: 'ES256', typ: 'at+jwt' })
  expect(JSON.parse(claims ?? '')).toMatchObject({
    ...{ iss: rig.base, aud: rig.base, sub: walletAddress, walletAddress, amr: ['wallet'], epoch: 0 },
  })
})

test.each<[string, (order: Record<string, unknown>) => Record<string, unknown>, number, string]>([
  ['more permissions than were signed', (order) => ({ ...order, permissions: ['*:*'] }), 401, 'ADDRESS_MISMATCH'],
  ['another server', (order) => ({ ...order, serverId: 'other' }), 401, 'ADDRESS_MISMATCH'],
  ['a later end', (order) => ({ ...order, expiresAt: inDays(2) }), 401, 'ADDRESS_MISMATCH'],
  ['31 days', (order) => ({ ...order, expiresAt: inDays(31) }), 400, 'VALIDATION_ERROR'],
  ['yesterday', (order) => ({ ...order, expiresAt: inDays(-1) }), 400, 'VALIDATION_ERROR'],
  ['no date', (order) => ({ ...order, expiresAt: 'soon' }), 400, 'VALIDATION_ERROR'],
  ['an unknown namespace', (order) => ({ ...order, permissions: ['root:*'] }), 400, 'VALIDATION_ERROR'],
  ['33 permissions', (order) => ({ ...order, permissions: Array(33).fill('chat:*') }), 400, 'VALIDATION_ERROR'],
  ['a server id over two lines', (order) => ({ ...order, serverId: 'a\nEpoch: 9' }), 400, 'VALIDATION_ERROR'],
  ['another wallet', (order) => ({ ...order, walletAddress: stranger.address }), 401, 'ADDRESS_MISMATCH'],
])('a token with %s is not made', async (...row) => {
  const [, change, status, code] = row
  const order = tokenOrder(account)
  const signature = await account.signMessage({ message: await rig.login.tokenMessage(order) })
  const body = change({ walletAddress: account.address, expiresAt: order.expiresAt, permissions: [], signature })
  await expectRefused(await rig.call('POST', '/api/auth/create-token', { body }), status, code)
})

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()

test.each(['/auth', '/api/auth'])('token-message and create-token under %s make a wallet token', async (prefix) => {
  const order = { walletAddress: account.address, expiresAt: inDays(30), serverId: 'files' }
  const query = new URLSearchParams({ ...order, permissions: 'chat:*,wallet:read' })
  const { message = '' } = await bodyOf(await rig.call('GET', `${prefix}/token-message?${query.toString()}`))
  for (const part of [account.address, 'chat:*, wallet:read', 'Server: files', 'Epoch: '])
    expect(message).toContain(part)
  const body = {
    ...order,
    permissions: ['chat:*', 'wallet:read'],
    signature: await account.signMessage({ message }),
  }
  const { token = '' } = await bodyOf(await rig.call('POST', `${prefix}/create-token`, { body }))
  const payload = JSON.parse(Buffer.from(token.slice(6), 'base64url').toString('utf8')) as Record<string, unknown>
  const wallet = account.address.toLowerCase()
  expect(payload).toMatchObject({ sub: wallet, wallet, iss: rig.base, server_id: 'files', message })
  expect(payload['exp']).toBe(payload['expiry'])
})

const forgetAddresses = () => rig.pool.query("DELETE FROM rate_bucket WHERE key LIKE 'auth:address:%'")

test('sign-in requests are limited per network address, and say when to come again', async () => {
  const ask = () =>
    rig.call('GET', `/auth/challenge?walletAddress=${privateKeyToAccount(generatePrivateKey()).address}`)
  for (let round = 0; round < authRequestsPerMinuteMax; round += 1) expect((await ask()).status).toBe(200)
  const reply = await ask()
  expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0)
  await expectRefused(reply, 429, 'RATE_LIMITED')
})

test('a wallet signs in so many times a minute, from wherever', async () => {
  for (let round = 0; round < authRequestsPerMinuteMax; round += 1) {
    expect((await verify(await proof())).status).toBe(200)
    await forgetAddresses()
  }
  const answer = await proof()
  await expectRefused(await verify(answer), 429, 'RATE_LIMITED')
  await rig.forgetRates()
  expect((await verify(answer)).status).toBe(200) // the challenge was not used up
})

test('whoever knows the address of a wallet keeps its owner neither from signing in nor from revoking', async () => {
  const { token } = await rig.signIn(account)
  for (let round = 0; round <= authRequestsPerMinuteMax; round += 1) {
    await challenge()
    await verify({ ...(await proof()), signature: `0x${'1'.repeat(128)}1b` })
    await forgetAddresses()
  }
  expect((await verify(await proof())).status).toBe(200)
  const revoke = (body: unknown, by = token) => rig.call('POST', '/api/auth/revoke', { token: by, body })
  const stolen = await rig.signIn(account)
  const spent = []
  for (let round = 0; round <= authRequestsPerMinuteMax; round += 1)
    spent.push((await revoke({ tokenId: 'f'.repeat(32) }, stolen.token)).status)
  expect(spent.at(-1)).toBe(429)
  expect((await revoke({ all: true })).status).toBe(200)
})

test('only the owner revokes a token, and a session id is no token', async () => {
  const { token } = await rig.signIn()
  const mine = await rig.signIn(account)
  const tokenId = await tokenIdOf(mine.token)
  await expectRefused(await rig.call('POST', '/api/auth/revoke', { token, body: { tokenId } }), 404, 'NOT_FOUND')
  const { sessionIds } = await rig.authenticate({
    authorizationHeaders: [`Bearer ${mine.token}`],
    cookie: undefined,
    remoteAddress: '127.0.0.1',
  })
  const body = { tokenId: sessionIds.usid }
  await expectRefused(await rig.call('POST', '/api/auth/revoke', { token: mine.token, body }), 404, 'NOT_FOUND')
  for (const body of [{}, { tokenId: 'x' }, { all: false }]) {
    await expectRefused(await rig.call('POST', '/api/auth/revoke', { token, body }), 400, 'VALIDATION_ERROR')
  }
})

test('a revoked token is refused at once, the others of the wallet go on', async () => {
  const [one, two] = [await rig.signIn(account), await rig.signIn(account)]
  const tokenId = await tokenIdOf(one.token)
  const reply = await rig.call('POST', '/api/auth/revoke', { token: two.token, body: { tokenId } })
  expect(await reply.json()).toEqual({ revoked: tokenId, epoch: 1 })
  expect(reply.headers.get('set-cookie')).toContain(
    '__Host-gatehouse=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0',
  )
  const again = { body: { tokenId } }
  await expectRefused(
    await rig.call('POST', '/api/auth/revoke', { token: one.token, ...again }),
    401,
    'SESSION_REVOKED',
  )
  expect((await rig.call('POST', '/api/auth/revoke', { token: two.token, ...again })).status).toBe(200)
})

test('a wallet token is revoked before its first use, in every spelling', async () => {
  const signed = await issueWalletToken(rig, account)
  const { token } = await rig.signIn(account)
  const body = { tokenId: await tokenIdOf(signed) }
  expect((await rig.call('POST', '/api/auth/revoke', { token, body })).status).toBe(200)
  const payload = JSON.parse(Buffer.from(signed.slice(6), 'base64url').toString('utf8')) as { iat: number }
  const rewritten = `mcpwt_${Buffer.from(JSON.stringify({ ...payload, iat: 1 })).toString('base64url')}`
  for (const old of [signed, rewritten]) {
    await expectRefused(await rig.call('POST', '/api/auth/revoke', { token: old, body }), 401, 'SESSION_REVOKED')
  }
})

test('revoking everything ends both kinds of token, and the wallet signs in again', async () => {
  const signed = await issueWalletToken(rig, account)
  const { token } = await rig.signIn(account)
  const reply = await rig.call('POST', '/api/auth/revoke', { token, body: { all: true } })
  expect(await reply.json()).toEqual({ revoked: 'all', epoch: expect.any(Number) })
  for (const old of [signed, token]) {
    const again = await rig.call('POST', '/api/auth/revoke', { token: old, body: { all: true } })
    await expectRefused(again, 401, 'SESSION_REVOKED')
  }
  const fresh = await rig.signIn(account)
  const query = await rig.authenticate({
    authorizationHeaders: [`Bearer ${fresh.token}`],
    cookie: undefined,
    remoteAddress: '127.0.0.1',
  })
  expect(query.gate.find(({ scope }) => scope.startsWith('wallet:'))?.epoch).toBeGreaterThan(0)
})

test('the key set holds every public key and nothing else', async () => {
  await rig.keys.rotate('access-token')
  const { keys } = (await (await rig.call('GET', '/.well-known/jwks.json')).json()) as { keys: object[] }
  expect(keys).toHaveLength(2)
  for (const key of keys) {
    expect(Object.keys(key).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  }
})
