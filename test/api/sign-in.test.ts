import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { postJson, startTestApi, type TestApi } from '../support/api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api[Symbol.asyncDispose]())
// All of them come from one address; the limit has a test of its own.
beforeEach(() => api.database.pool.query('DELETE FROM rate_bucket'))

const challengeOf = async (address: string, prefix = '/auth') =>
  (await (await fetch(`${api.url}${prefix}/challenge?walletAddress=${address}`)).json()) as {
    nonce: string
    message: string
  }

const codeOf = async (reply: Response) => ({
  status: reply.status,
  code: ((await reply.json()) as { code: string }).code,
})

const balanceWith = (authorization: string) => fetch(`${api.url}/wallet/balance`, { headers: { authorization } })

test.each(['/auth', '/api/auth'])('a nonce of %s works once', async (prefix) => {
  const account = api.newWallet()
  const { nonce, message } = await challengeOf(account.address, prefix)
  const body = { walletAddress: account.address, nonce, signature: await account.signMessage({ message }) }
  expect((await postJson(`${api.url}${prefix}/verify`, body)).status).toBe(200)
  expect(await codeOf(await postJson(`${api.url}${prefix}/verify`, body))).toEqual({
    status: 401,
    code: 'CHALLENGE_EXPIRED',
  })
})

test('the same nonce sent twenty times at once gives one token', async () => {
  const account = api.newWallet()
  const { nonce, message } = await challengeOf(account.address)
  const body = { walletAddress: account.address, nonce, signature: await account.signMessage({ message }) }
  const replies = await Promise.all(Array.from({ length: 12 }, () => postJson(`${api.url}/auth/verify`, body)))
  expect(replies.filter((reply) => reply.status === 200)).toHaveLength(1)
})

test('another key, a high s, a short form and a foreign address are refused, and five wrong tries burn the nonce', async () => {
  const account = api.newWallet()
  const stranger = api.newWallet()
  const { nonce, message } = await challengeOf(account.address)
  const good = await account.signMessage({ message })
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
  const highS = `0x${good.slice(2, 66)}${(order - BigInt(`0x${good.slice(66, 130)}`)).toString(16).padStart(64, '0')}${good.endsWith('1b') ? '1c' : '1b'}`
  const attempt = (signature: string, walletAddress: string = account.address) =>
    postJson(`${api.url}/auth/verify`, { walletAddress, nonce, signature })
  expect(await codeOf(await attempt(await stranger.signMessage({ message })))).toEqual({
    status: 401,
    code: 'ADDRESS_MISMATCH',
  })
  expect(await codeOf(await attempt(highS))).toEqual({ status: 401, code: 'SIGNATURE_INVALID' })
  expect(await codeOf(await attempt(good.slice(0, 130)))).toEqual({ status: 401, code: 'SIGNATURE_INVALID' })
  expect(await codeOf(await attempt(good, stranger.address))).toEqual({ status: 401, code: 'ADDRESS_MISMATCH' })
  expect((await attempt('0x')).status).toBe(401)
  expect(await codeOf(await attempt(good))).toEqual({ status: 401, code: 'CHALLENGE_EXPIRED' })
})

test('a challenge expires after five minutes, a session after a day', async () => {
  const account = api.newWallet()
  const { nonce, message } = await challengeOf(account.address)
  const token = await api.tokenOf(account)
  const start = api.time.now
  try {
    api.time.now = new Date(start.getTime() + 301_000)
    const late = { walletAddress: account.address, nonce, signature: await account.signMessage({ message }) }
    expect(await codeOf(await postJson(`${api.url}/auth/verify`, late))).toEqual({
      status: 401,
      code: 'CHALLENGE_EXPIRED',
    })
    expect((await balanceWith(`Bearer ${token}`)).status).toBe(200)
    api.time.now = new Date(start.getTime() + 86_401_000)
    expect(await codeOf(await balanceWith(`Bearer ${token}`))).toEqual({ status: 401, code: 'TOKEN_EXPIRED' })
  } finally {
    api.time.now = start
  }
})

test('the session token says who, for how long and how, and test mode is refused', async () => {
  const account = api.newWallet()
  const claims = JSON.parse(
    Buffer.from((await api.tokenOf(account)).split('.')[1] ?? '', 'base64url').toString('utf8'),
  ) as Record<string, unknown>
  expect(claims).toMatchObject({ iss: api.url, aud: api.url, sub: account.address.toLowerCase(), amr: ['wallet'] })
  expect(Number(claims['exp']) - Number(claims['iat'])).toBe(86_400)
  const { nonce, message } = await challengeOf(account.address)
  const body = {
    walletAddress: account.address,
    nonce,
    signature: await account.signMessage({ message }),
    testMode: true,
  }
  expect((await postJson(`${api.url}/auth/verify`, body)).status).toBe(400)
})

async function walletToken(permissions: string[], serverId?: string) {
  const account = api.newWallet()
  const expiresAt = new Date(api.time.now.getTime() + 3_600_000).toISOString()
  const query = new URLSearchParams({
    walletAddress: account.address,
    expiresAt,
    permissions: permissions.join(','),
    ...(serverId ? { serverId } : {}),
  })
  const { message } = (await (await fetch(`${api.url}/api/auth/token-message?${query.toString()}`)).json()) as {
    message: string
  }
  const signature = await account.signMessage({ message })
  const body = { walletAddress: account.address, signature, expiresAt, permissions, ...(serverId ? { serverId } : {}) }
  const reply = await postJson(`${api.url}/api/auth/create-token`, body)
  return { account, body, token: ((await reply.json()) as { token: string }).token }
}

test('a wallet token works without any row, permits what it lists, and is confined to its server', async () => {
  const { token } = await walletToken(['wallet:read'])
  await api.database.pool.query('DELETE FROM access_token')
  expect((await balanceWith(`Bearer ${token}`)).status).toBe(200)
  const chat = await postJson(`${api.url}/agents/assistant/sessions`, {}, { authorization: `Bearer ${token}` })
  expect(await codeOf(chat)).toEqual({ status: 403, code: 'INSUFFICIENT_PERMISSIONS' })
  const confined = await walletToken([], 'workbench')
  expect((await balanceWith(`Bearer ${confined.token}`)).status).toBe(403)
})

test('a wallet token with one changed field, other permissions or a longer life is refused', async () => {
  const { token, body } = await walletToken(['wallet:read'])
  const payload = JSON.parse(Buffer.from(token.slice(6), 'base64url').toString('utf8')) as Record<string, unknown>
  const forged = (change: object) =>
    `Bearer mcpwt_${Buffer.from(JSON.stringify({ ...payload, ...change })).toString('base64url')}`
  for (const change of [
    { permissions: [] },
    { expiry: Number(payload['expiry']) + 1 },
    { epoch: 9 },
    { wallet: api.newWallet().address.toLowerCase() },
    { extra: 1 },
  ]) {
    expect((await balanceWith(forged(change))).status).toBe(401)
  }
  expect(
    await codeOf(await postJson(`${api.url}/api/auth/create-token`, { ...body, permissions: ['chat:*'] })),
  ).toMatchObject({ status: 401 })
  const tooLong = new Date(api.time.now.getTime() + 31 * 86_400_000).toISOString()
  expect((await postJson(`${api.url}/api/auth/create-token`, { ...body, expiresAt: tooLong })).status).toBe(400)
})

test('revoking everything ends session and wallet tokens of before, and a new sign-in works', async () => {
  const { account, token } = await walletToken([])
  const session = await api.tokenOf(account)
  expect(
    (await postJson(`${api.url}/api/auth/revoke`, { all: true }, { authorization: `Bearer ${token}` })).status,
  ).toBe(200)
  expect(await codeOf(await balanceWith(`Bearer ${token}`))).toEqual({ status: 401, code: 'SESSION_REVOKED' })
  expect(await codeOf(await balanceWith(`Bearer ${session}`))).toEqual({ status: 401, code: 'SESSION_REVOKED' })
  expect((await balanceWith(`Bearer ${await api.tokenOf(account)}`)).status).toBe(200)
})

test("somebody else's token id cannot be revoked", async () => {
  const [mine, theirs] = [await api.tokenOf(api.newWallet()), await api.tokenOf(api.newWallet())]
  const jti = (JSON.parse(Buffer.from(theirs.split('.')[1] ?? '', 'base64url').toString('utf8')) as { jti: string }).jti
  expect(
    (await postJson(`${api.url}/api/auth/revoke`, { tokenId: jti }, { authorization: `Bearer ${mine}` })).status,
  ).toBe(404)
  expect((await balanceWith(`Bearer ${theirs}`)).status).toBe(200)
})

test('garbage, foreign algorithms and foreign keys share one public text', async () => {
  const good = await api.tokenOf(api.newWallet())
  const [header = '', payload = '', signature = ''] = good.split('.')
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const foreign = sign('sha256', Buffer.from(`${header}.${payload}`), {
    key: createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    dsaEncoding: 'ieee-p1363',
  })
  const bad = [
    'garbage',
    'mcpwt_garbage',
    `${header}.${payload}`,
    `${header}.${payload}.`,
    `${header}.${payload}.${foreign.toString('base64url')}`,
    `${part({ alg: 'none', typ: 'at+jwt', kid: 'x' })}.${payload}.`,
    `${part({ alg: 'HS256', typ: 'at+jwt', kid: 'x' })}.${payload}.${signature}`,
    `${header}.${part({ ...JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')), sub: api.newWallet().address.toLowerCase() })}.${signature}`,
    `${good}.x`,
    'x'.repeat(9_000),
  ]
  for (const token of bad) {
    const reply = await balanceWith(`Bearer ${token}`)
    expect(reply.status).toBe(401)
    expect(((await reply.json()) as { message: string }).message).toBe('Authentication failed.')
  }
  expect((await balanceWith('Basic abc')).status).toBe(401)
})

test('a burst of challenges is limited with Retry-After', async () => {
  const address = api.newWallet().address
  let limited: Response | undefined
  for (let count = 0; count < 80 && !limited; count += 1) {
    const reply = await fetch(`${api.url}/auth/challenge?walletAddress=${address}`)
    if (reply.status === 429) limited = reply
  }
  expect(limited?.headers.get('retry-after')).toMatch(/^\d+$/)
})
