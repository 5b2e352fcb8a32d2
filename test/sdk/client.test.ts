// Signing in and plain calls over real HTTP: refusals of every family, bounds, and what a wallet is asked to sign.
import { createHash } from 'node:crypto'
import { SignJWT } from 'jose'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { recoverMessageAddress } from 'viem'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { canonicalJson } from '../../crypto/portable/canonical-json.ts'
import { createClient, formatMicros, GatehouseError, type Client, type Signer } from '../../sdk/client.ts'
import { json, refuse, sessionRow, startApiDouble, type ApiDouble } from '../support/api-double.ts'

let api: ApiDouble
let client: Client

const account = privateKeyToAccount(generatePrivateKey())
const signer: Signer = { address: account.address, signMessage: (text) => account.signMessage({ message: text }) }
const inAnHour = () => new Date(Date.now() + 3_600_000)

beforeEach(async () => {
  api = await startApiDouble()
  client = createClient({ baseUrl: api.url, retryWaitsMs: [] })
})

afterEach(() => api[Symbol.asyncDispose]())

const refusal = async (work: Promise<unknown>): Promise<GatehouseError> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof GatehouseError) return error
  throw new Error('The call was not refused.', { cause: error })
}

test('refuses to sign for another domain than the one it speaks to', async () => {
  api.on('GET /auth/challenge', json({ nonce: 'n', message: 'bank.example wants you to sign in: n' }))
  expect(await refusal(client.auth.login(signer))).toMatchObject({ code: 'DOMAIN_MISMATCH', status: 0 })
  expect(api.to('POST /auth/verify')).toEqual([])
})

test.each(['localhost:1', '127.0.0.1:1', '[::1]:1', 'localhost'])(
  'signs for no other port of this machine, such as %s',
  async (domain) => {
    api.on('GET /auth/challenge', json({ nonce: 'n', message: `${domain} wants you to sign in: n` }))
    expect(await refusal(client.auth.login(signer))).toMatchObject({ code: 'DOMAIN_MISMATCH' })
    expect(api.to('POST /auth/verify')).toEqual([])
  },
)

test('localhost and 127.0.0.1 with the same port are one', async () => {
  const { port } = new URL(api.url)
  api.on('GET /auth/challenge', json({ nonce: 'n', message: `localhost:${port} wants you to sign in: n` }))
  api.on('POST /auth/verify', json({ token: 't', expiresAt: inAnHour().toISOString(), walletAddress: account.address }))
  expect((await client.auth.login(signer)).token).toBe('t')
})

const asked = {
  expiresAt: new Date('2026-01-31T12:00:00.000Z'),
  permissions: ['chat:*', 'wallet:read'],
  serverId: 'git',
}
const statement = (changed: Readonly<Record<string, string>> = {}) => {
  const rows = {
    Wallet: account.address,
    Expires: '2026-01-31T12:00:00.000Z',
    Permissions: 'chat:*, wallet:read',
    Server: 'git',
    Epoch: '0',
    ...changed,
  }
  const lines = Object.entries(rows).map(([name, value]) => `${name}: ${value}`)
  return [`${new URL(api.url).host} asks for a Gatehouse wallet token.`, '', ...lines].join('\n')
}

test.each([
  ['another wallet', () => statement({ Wallet: `0x${'11'.repeat(20)}` })],
  ['a longer life', () => statement({ Expires: '2026-01-31T12:00:01.000Z' })],
  ['no time at all', () => statement({ Expires: 'never' })],
  ['more permissions', () => statement({ Permissions: 'chat:*, wallet:read, wallet:withdraw' })],
  ['all permissions', () => statement({ Permissions: 'all' })],
  ['another server', () => statement({ Server: 'files' })],
  ['any server', () => statement({ Server: 'any server' })],
  ['a line twice', () => `${statement()}\nPermissions: all`],
  ['a challenge instead', () => `${new URL(api.url).host} wants you to sign in: n`],
])('a wallet token is not signed for %s', async (_what, message) => {
  api.on('GET /api/auth/token-message', json({ message: message() }))
  expect(await refusal(client.auth.createWalletToken(signer, asked))).toMatchObject({ code: 'STATEMENT_MISMATCH' })
  expect(api.to('POST /api/auth/create-token')).toEqual([])
})

test('a wallet token is not signed where a challenge was asked for', async () => {
  api.on('GET /auth/challenge', json({ nonce: 'n', message: statement({ Permissions: 'all', Server: 'any server' }) }))
  expect(await refusal(client.auth.login(signer))).toMatchObject({ code: 'STATEMENT_MISMATCH' })
  expect(api.to('POST /auth/verify')).toEqual([])
})

test.each([404, 405, 501, 503])(
  'a confined wallet token answered %s is not replaced by a wider one',
  async (status) => {
    api.on('GET /api/auth/token-message', refuse(status, 'X'))
    const asked = client.auth.createWalletToken(signer, { expiresAt: inAnHour(), permissions: ['chat:*'] })
    expect((await refusal(asked)).status).toBe(status)
    expect(api.to('GET /auth/challenge')).toEqual([])
  },
)

test.each([400, 401, 429, 500])(
  'a wallet token answered %s is an error, not a reason to try otherwise',
  async (status) => {
    api.on('GET /api/auth/token-message', refuse(status, 'X'))
    expect((await refusal(client.auth.createWalletToken(signer, { expiresAt: inAnHour() }))).status).toBe(status)
    expect(api.to('GET /auth/challenge')).toEqual([])
  },
)

test.each([
  [402, { error: 'FUNDS', code: 'INSUFFICIENT_FUNDS', message: 'Too little.' }, 'INSUFFICIENT_FUNDS: Too little.'],
  [403, { type: '/problems/x', title: 'No.', status: 403, detail: 'Rule 7.', code: 'x' }, 'x: Rule 7.'],
  [401, { message: 'Unauthorized' }, 'HTTP_401: Unauthorized'],
  [400, { error: 'invalid_grant', error_description: 'Expired.' }, 'invalid_grant: Expired.'],
  [429, { type: 'error', error: { type: 'rate_limit_error', message: 'Slow.' } }, 'rate_limit_error: Slow.'],
  [400, { jsonrpc: '2.0', error: { code: -32_602, message: 'Bad.' } }, '-32602: Bad.'],
])('reads a refusal of status %s from its family', async (status, body, told) => {
  api.on('GET /wallet/balance', json(body, status))
  const error = await refusal(client.wallet.balance())
  expect(`${error.code}: ${error.message}`).toBe(told)
  expect(error).toMatchObject({ status, requestId: 'request-1' })
})

test('a refusal that is not JSON still has its status', async () => {
  api.on('GET /wallet/balance', (response) => response.writeHead(502).end('<h1>Bad gateway</h1>'))
  expect(await refusal(client.wallet.balance())).toMatchObject({ status: 502, code: 'HTTP_502' })
})

test('the wait of a 429 is told, in seconds or as a date', async () => {
  api.on(
    'GET /wallet/balance',
    refuse(429, 'RATE_LIMITED', { headers: { 'retry-after': '7' } }),
    refuse(429, 'RATE_LIMITED', { headers: { 'retry-after': new Date(Date.now() + 30_000).toUTCString() } }),
  )
  expect((await refusal(client.wallet.balance())).retryAfterSeconds).toBe(7)
  const seconds = (await refusal(client.wallet.balance())).retryAfterSeconds ?? 0
  expect(seconds).toBeGreaterThan(25)
  expect(seconds).toBeLessThanOrEqual(30)
})

test('further members of a refusal are its details', async () => {
  api.on('GET /wallet/balance', refuse(402, 'INSUFFICIENT_FUNDS', { required: '900', available: '1' }))
  expect((await refusal(client.wallet.balance())).details).toEqual({ required: '900', available: '1' })
})

test('a reply outside the contract is refused, not passed on', async () => {
  api.on('GET /wallet/balance', json({ availableBalance: 12.5 }))
  expect(await refusal(client.wallet.balance())).toMatchObject({ code: 'REPLY_INVALID', status: 200 })
})

test('a server that is not there is told by its address', async () => {
  const gone = createClient({ baseUrl: 'http://127.0.0.1:1' })
  expect(await refusal(gone.agents.list())).toMatchObject({
    code: 'UNREACHABLE',
    status: 0,
    message: 'http://127.0.0.1:1 cannot be reached.',
  })
})

test('does not follow a redirect with its token', async () => {
  api.on('GET /wallet/balance', (response) => response.writeHead(302, { location: `${api.url}/elsewhere` }).end())
  expect((await refusal(client.wallet.balance())).code).toBe('UNREACHABLE')
  expect(api.to('GET /elsewhere')).toEqual([])
})

test('a session that is not listed has no agent and is not found', async () => {
  api.on('GET /wallet/sessions', json({ sessions: [sessionRow] }))
  expect(await refusal(client.sessions.get('another'))).toMatchObject({ status: 404, code: 'NOT_FOUND' })
})

test('revoking without a token asks nobody', async () => {
  expect(await refusal(client.revoke())).toMatchObject({ status: 401 })
  expect(api.asked).toEqual([])
})

test('signs the challenge as it came, and sends the token from then on', async () => {
  api.on('GET /wallet/balance', json({ availableBalance: '5' }))
  const credential = await client.auth.login(signer)
  expect(credential).toMatchObject({ kind: 'session', token: 'session-token' })
  const [verify] = api.to('POST /auth/verify')
  const host = new URL(api.url).host
  const signed = await recoverMessageAddress({
    message: `${host} wants you to sign in: challenge n1`,
    signature: verify?.body['signature'] as `0x${string}`,
  })
  expect(signed).toBe(account.address)
  expect(verify?.body).toMatchObject({ nonce: 'n1', walletAddress: account.address })
  await client.wallet.balance()
  expect(api.asked.at(-1)?.headers.authorization).toBe('Bearer session-token')
})

test('signs a wallet token with everything that confines it', async () => {
  const expiresAt = inAnHour()
  const request = { expiresAt, permissions: ['chat:*', 'wallet:read'], serverId: 'everything' }
  expect(await client.auth.createWalletToken(signer, request)).toMatchObject({
    kind: 'wallet-token',
    token: 'mcpwt_e30',
  })
  const [rendered] = api.to('GET /api/auth/token-message')
  expect(Object.fromEntries(rendered?.query ?? [])).toEqual({
    walletAddress: account.address,
    expiresAt: expiresAt.toISOString(),
    permissions: 'chat:*,wallet:read',
    serverId: 'everything',
  })
  expect(api.to('POST /api/auth/create-token')[0]?.body).toMatchObject({
    expiresAt: expiresAt.toISOString(),
    permissions: ['chat:*', 'wallet:read'],
    serverId: 'everything',
  })
})

test.each([404, 405, 501, 503])('an unconfined wallet token answered %s becomes a challenge', async (status) => {
  api.on('GET /api/auth/token-message', refuse(status, 'X'))
  const credential = await client.auth.createWalletToken(signer, { expiresAt: inAnHour() })
  expect(credential).toMatchObject({ kind: 'session', token: 'session-token' })
})

test('a session token is revoked by its jti, a wallet token by the digest of what was signed', async () => {
  api.on('POST /api/auth/revoke', json({ revoked: 'x', epoch: 2 }))
  const jwt = await new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setJti('ab'.repeat(16))
    .sign(new Uint8Array(32))
  await createClient({ baseUrl: api.url, token: jwt }).revoke()
  const signed = { wallet: account.address, exp: 5, message: 'grüße' }
  const text = Buffer.from(JSON.stringify({ ...signed, signature: '0x1' })).toString('base64url')
  await createClient({ baseUrl: api.url, token: `mcpwt_${text}` }).revoke()
  await createClient({ baseUrl: api.url, token: jwt }).revoke({ all: true })
  expect(api.to('POST /api/auth/revoke').map((one) => one.body)).toEqual([
    { tokenId: 'ab'.repeat(16) },
    { tokenId: createHash('sha256').update(canonicalJson(signed)).digest('hex') },
    { all: true },
  ])
})

test('a session known by its id alone is found with its agent', async () => {
  api.on('GET /wallet/sessions', json({ sessions: [sessionRow] }))
  api.on('DELETE /agents/assistant/sessions/session-1', (response) => response.writeHead(204).end())
  await client.sessions.delete('session-1')
  expect(api.asked.map((one) => one.path)).toEqual(['/wallet/sessions', '/agents/assistant/sessions/session-1'])
})

test('members a newer server adds pass through, names are encoded', async () => {
  api.on('GET /agents/a%2Fb', json({ id: 'a/b', name: 'x', newer: 1 }))
  expect(await client.agents.get('a/b')).toMatchObject({ newer: 1, tools: [] })
})

test('amounts are shown to the micro-dollar', () => {
  expect(['2800', '-500', '5000000', 'n/a'].map(formatMicros)).toEqual(['$0.0028', '-$0.0005', '$5.00', 'n/a'])
})
