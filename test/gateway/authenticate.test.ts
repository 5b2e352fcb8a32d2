// One authenticator for every credential: what it refuses, what it makes of the rest, and what it looks at each time.
import { generateKeyPairSync } from 'node:crypto'
import { generatePrivateKey, privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { signAccessToken } from '../../crypto/access-token.ts'
import { tokenMessage } from '../../crypto/login-message.ts'
import { encodeWalletToken } from '../../crypto/wallet-token.ts'
import { revokeScopes } from '../../db/revocation.ts'
import type { GatewayError } from '../../domain/errors.ts'
import { authRequestsPerMinuteMax } from '../../domain/limits.ts'
import type { Principal } from '../../domain/principal.ts'
import { createAuthenticator } from '../../gateway/authenticate.ts'
import type { LiveEpochs } from '../../gateway/epochs.ts'
import { createIdentityRig, issueWalletToken, type IdentityRig } from '../support/identity-rig.ts'

let rig: IdentityRig
const account = privateKeyToAccount(generatePrivateKey())
const wallet = account.address.toLowerCase()

beforeAll(async () => {
  rig = await createIdentityRig()
})
beforeEach(() => {
  rig.clock = () => new Date()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const bearer = (token: string): Promise<Principal> =>
  rig.authenticate({ authorizationHeaders: [`Bearer ${token}`], cookie: undefined, remoteAddress: '127.0.0.1' })

async function revoke(...scopes: string[]): Promise<void> {
  await revokeScopes(rig.pool, { scopes, reason: 'test', by: 'test' })
  await rig.epochs.refresh()
}

test.each<[string, string[], string | undefined, string]>([
  ['nothing', [], undefined, 'credential-missing'],
  ['an empty cookie', [], '', 'credential-missing'],
  ['an empty header', [''], undefined, 'credential-malformed'],
  ['the scheme alone', ['Bearer '], undefined, 'credential-malformed'],
  ['another scheme', ['Basic YTpi'], undefined, 'credential-malformed'],
  ['two headers', ['Bearer a', 'Bearer b'], undefined, 'credential-malformed'],
  ['two tokens in one header', ['Bearer a, Bearer b'], undefined, 'credential-malformed'],
  ['two spaces', ['Bearer  abc'], undefined, 'credential-malformed'],
  ['control characters', ['Bearer a\u0000b'], undefined, 'credential-malformed'],
  ['more than 8 KB', [`Bearer ${'a'.repeat(8_200)}`], undefined, 'credential-malformed'],
  ['a cookie of more than 8 KB', [], 'a'.repeat(8_200), 'credential-malformed'],
  ['no token of ours', ['Bearer garbage'], undefined, 'credential-malformed'],
  ['a wallet token of nothing', ['Bearer mcpwt_'], undefined, 'credential-malformed'],
  ['a bad header beside a cookie', ['Bearer garbage'], 'garbage', 'credential-malformed'],
])('%s is refused', async (...row) => {
  const [, authorizationHeaders, cookie, code] = row
  await expect(rig.authenticate({ authorizationHeaders, cookie, remoteAddress: undefined })).rejects.toMatchObject({
    code,
  })
})

test('a key that we do not have signed nothing here, and an audit key signs no tokens', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const iat = Math.floor(Date.now() / 1000)
  const claims = {
    ...{ iss: rig.base, aud: rig.base, sub: wallet, walletAddress: wallet, sid: 's', jti: '0123456789abcdef' },
    ...{ iat, exp: iat + 60, auth_time: iat, amr: ['wallet'], epoch: 0 },
  }
  const kids = ['unknown', rig.keys.active('audit').kid]
  for (const kid of kids) {
    await expect(bearer(signAccessToken(claims, { kid, privateKey }))).rejects.toMatchObject({
      code: 'credential-invalid',
    })
  }
})

test('a session token makes a principal with every scope that can end it', async () => {
  const { token } = await rig.signIn(account)
  const principal = await bearer(token)
  expect(principal).toMatchObject({
    tenant: wallet,
    subject: { kind: 'human', id: wallet },
    wallet,
    actorChain: [],
    roles: ['owner'],
    permissions: ['*:*'],
    assurance: 1,
  })
  const { tokenId, sessionIds } = principal
  expect(principal.gate.map(({ scope }) => scope).toSorted()).toEqual(
    [
      'global:all',
      `session:${sessionIds.usid}`,
      `tenant:${wallet}`,
      `token:${tokenId}`,
      `user:${wallet}`,
      `wallet:${wallet}`,
    ].toSorted(),
  )
  expect(await rig.authenticate({ authorizationHeaders: [], cookie: token, remoteAddress: undefined })).toEqual(
    principal,
  )
})

test('a wallet token says what was signed and needs no row', async () => {
  const token = await issueWalletToken(rig, account, { permissions: ['chat:*'], serverId: 'files' })
  await rig.pool.query('DELETE FROM access_token')
  const principal = await freshProcess()(token)
  expect(principal).toMatchObject({ wallet, permissions: ['chat:*'], serverId: 'files' })
  expect(principal.tokenId).toMatch(/^[0-9a-f]{64}$/)
})

// A process that never saw the token: nothing is cached, and the tables of sessions are empty.
function freshProcess(epochs: LiveEpochs = rig.epochs) {
  const authenticate = createAuthenticator({
    pool: rig.pool,
    keys: rig.keys,
    epochs,
    members: { of: (address) => ({ tenant: address, roles: ['owner'] }) },
    events: { credentialRefused: () => undefined } as never,
    clock: () => rig.clock(),
    publicUrl: rig.base,
  })
  return (token: string) =>
    authenticate({ authorizationHeaders: [`Bearer ${token}`], cookie: undefined, remoteAddress: '127.0.0.1' })
}

test('a process that hears no revocations asks for them, and knows nobody when nobody answers', async () => {
  const { token } = await rig.signIn()
  let [asked, isFresh, isUp] = [0, false, false]
  const refresh = async () => {
    asked += 1
    await new Promise((resolve) => setImmediate(resolve))
    if (!isUp) throw new Error('down')
    isFresh = true
  }
  const process = freshProcess({ ...rig.epochs, isFresh: () => isFresh, refresh })
  await expect(process(token)).rejects.toMatchObject({ code: 'revocation-feed-stale' })
  const refused = await Promise.allSettled([process(token), process(token), process(token)])
  for (const each of refused) expect(each).toMatchObject({ reason: { code: 'revocation-feed-stale' } })
  expect(asked).toBe(2) // once for all who wait
  isUp = true
  expect((await process(token)).roles).toEqual(['owner'])
})

test('roles and tenant are read at each request, never from the token', async () => {
  const { token, address } = await rig.signIn()
  expect((await bearer(token)).roles).toEqual(['owner'])
  rig.members.set(address, { tenant: 'acme', roles: ['approver', 'operator'] })
  expect(await bearer(token)).toMatchObject({ tenant: 'acme', roles: ['approver', 'operator'] })
  await revoke('tenant:acme')
  await expect(bearer(token)).rejects.toMatchObject({ code: 'credential-revoked' })
  rig.members.delete(address)
  expect((await bearer(token)).tenant).toBe(address)
})

test('a token that was good expires, known or not', async () => {
  const { token, expiresAt } = await rig.signIn()
  await bearer(token)
  rig.clock = () => expiresAt
  await expect(bearer(token)).rejects.toMatchObject({ code: 'credential-expired' })
  const signed = await issueWalletToken(rig, account)
  rig.clock = () => new Date(Date.now() + 2 * 86_400_000)
  await expect(bearer(signed)).rejects.toMatchObject({ code: 'credential-expired' })
})

test.each(['token', 'session', 'user', 'tenant'] as const)('a revoked %s ends a token that is in use', async (kind) => {
  const { token, address } = await rig.signIn()
  const { tokenId, sessionIds } = await bearer(token)
  const ids = { token: tokenId, session: sessionIds.usid, user: address, tenant: address }
  await revoke(`${kind}:${ids[kind]}`)
  await expect(bearer(token)).rejects.toMatchObject({ code: 'credential-revoked' })
})

test('a revoked wallet ends what was signed before, and nothing that is signed after', async () => {
  const { token, account: person, address } = await rig.signIn()
  const signed = await issueWalletToken(rig, person)
  await Promise.all([bearer(token), bearer(signed)])
  await revoke(`wallet:${address}`)
  for (const old of [token, signed]) await expect(bearer(old)).rejects.toMatchObject({ code: 'credential-revoked' })
  const next = await issueWalletToken(rig, person)
  expect((await bearer(next)).wallet).toBe(address)
  expect((await bearer((await rig.signIn(person)).token)).wallet).toBe(address)
})

// A token that its wallet signs without asking us.
async function selfSigned(person: PrivateKeyAccount, epoch = 0): Promise<string> {
  const [address, expiry] = [person.address.toLowerCase(), Math.floor(Date.now() / 1000) + 600]
  const facts = { domain: new URL(rig.base).host, address, expiry, permissions: [], serverId: undefined, epoch }
  const message = tokenMessage(facts)
  const signature = await person.signMessage({ message })
  const times = { iat: expiry - 600, exp: expiry, expiry }
  return encodeWalletToken({
    ...{ sub: address, wallet: address, iss: rig.base, ...times, permissions: [], epoch, message, signature },
  })
}

test('a wallet token of an epoch that has not begun is refused, after a revocation too, and leaves no wallet', async () => {
  const stranger = privateKeyToAccount(generatePrivateKey())
  const address = stranger.address.toLowerCase()
  const token = await selfSigned(stranger, 1)
  await expect(bearer(token)).rejects.toMatchObject({ code: 'credential-invalid' })
  expect((await rig.pool.query('SELECT 1 FROM wallet WHERE address = $1', [address])).rowCount).toBe(0)
  await revoke(`wallet:${address}`)
  await expect(bearer(token)).rejects.toMatchObject({ code: expect.stringMatching(/^credential-/) })
})

test('first uses of self-signed wallet tokens are limited per network address', async () => {
  await rig.forgetRates()
  const codes: string[] = []
  for (let index = 0; index <= authRequestsPerMinuteMax + 1; index += 1) {
    const token = await selfSigned(privateKeyToAccount(generatePrivateKey()))
    codes.push(
      await bearer(token).then(
        () => 'ok',
        (error: GatewayError) => error.code,
      ),
    )
  }
  await rig.forgetRates()
  expect(codes[0]).toBe('ok')
  expect(codes.at(-1)).toBe('rate-limited')
})

test('a revoked wallet token stays revoked when its unsigned members are rewritten', async () => {
  const { account: person } = await rig.signIn()
  const signed = await issueWalletToken(rig, person)
  const { tokenId, sessionIds } = await bearer(signed)
  await revoke(`token:${tokenId}`, `session:${sessionIds.usid}`)
  const payload = JSON.parse(Buffer.from(signed.slice(6), 'base64url').toString('utf8')) as { iat: number }
  const rewritten = `mcpwt_${Buffer.from(JSON.stringify({ ...payload, iat: payload.iat - 1 })).toString('base64url')}`
  await expect(bearer(rewritten)).rejects.toMatchObject({ code: 'credential-revoked' })
})
