// Wallet tokens verify without storage, and only as they were signed.
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { tokenMessage } from '../../crypto/login-message.ts'
import {
  encodeWalletToken,
  verifyWalletToken,
  walletTokenId,
  walletTokenSessionId,
  type WalletTokenPayload,
} from '../../crypto/wallet-token.ts'
import { tokenIdOf } from '../../sdk/auth.ts'

const account = privateKeyToAccount(generatePrivateKey())
const stranger = privateKeyToAccount(generatePrivateKey())
const wallet = account.address.toLowerCase()
const now = new Date()
const facts = { domain: 'gateway.example', now }
const expiry = Math.floor(now.getTime() / 1000) + 86_400

async function payloadOf(changes: Partial<WalletTokenPayload> = {}): Promise<WalletTokenPayload> {
  const unsigned = {
    ...{ sub: wallet, wallet, iss: 'https://gateway.example', iat: expiry - 86_400, exp: expiry, expiry, epoch: 0 },
    ...{ permissions: ['chat:*'], message: '', signature: '' },
    ...changes,
  }
  const message = tokenMessage({
    domain: facts.domain,
    address: unsigned.wallet,
    expiry: Math.min(unsigned.expiry, 253_402_300_799),
    permissions: unsigned.permissions,
    serverId: unsigned.server_id,
    epoch: unsigned.epoch,
  })
  return { ...unsigned, message, signature: await account.signMessage({ message }) }
}

const good = await payloadOf()
const written = (text: string) => `mcpwt_${Buffer.from(text).toString('base64url')}`
const spelled = (payload: unknown) => written(JSON.stringify(payload))
const longer = expiry + 40 * 86_400

const table: readonly (readonly [string, string, string])[] = [
  ['nothing behind the prefix', 'mcpwt_', 'credential-malformed'],
  ['a member named twice', written(JSON.stringify(good).replace('{', '{"permissions":[],')), 'credential-malformed'],
  [
    'a member named twice with an escape',
    written(JSON.stringify(good).replace('{', String.raw`{"permi\u0073sions":[],`)),
    'credential-malformed',
  ],
  ['no JSON', 'mcpwt_AAAA', 'credential-malformed'],
  ['a list', spelled([]), 'credential-malformed'],
  ['an unknown member', spelled({ ...good, admin: true }), 'credential-malformed'],
  ['no signature', spelled({ ...good, signature: undefined }), 'credential-malformed'],
  ['more permissions than were signed', spelled({ ...good, permissions: ['*:*'] }), 'credential-malformed'],
  ['the empty list of full access', spelled({ ...good, permissions: [] }), 'credential-malformed'],
  ['a server that was not signed', spelled({ ...good, server_id: 'other' }), 'credential-malformed'],
  ['a later expiry', spelled({ ...good, expiry: expiry + 1, exp: expiry + 1 }), 'credential-malformed'],
  ['two expiries', spelled({ ...good, exp: expiry + 1 }), 'credential-malformed'],
  ['two wallets', spelled({ ...good, sub: stranger.address.toLowerCase() }), 'credential-malformed'],
  ['a later epoch', spelled({ ...good, epoch: 7 }), 'credential-malformed'],
  ['another message', spelled({ ...good, message: 'hello' }), 'credential-malformed'],
  ['an expiry beyond all calendars', spelled({ ...good, expiry: 9e15, exp: 9e15 }), 'credential-malformed'],
  ['a fraction of a second', spelled({ ...good, expiry: expiry + 0.5 }), 'credential-malformed'],
  ['a life of 41 days', spelled(await payloadOf({ expiry: longer, exp: longer })), 'credential-malformed'],
  ['an unknown namespace', spelled(await payloadOf({ permissions: ['root:*'] })), 'credential-malformed'],
  ['a server id over two lines', spelled(await payloadOf({ server_id: 'a\nEpoch: 9' })), 'credential-malformed'],
  [
    'another wallet’s statement',
    spelled(await payloadOf({ wallet: stranger.address.toLowerCase(), sub: stranger.address.toLowerCase() })),
    'credential-invalid',
  ],
  ['64 bytes of signature', spelled({ ...good, signature: good.signature.slice(0, 130) }), 'credential-invalid'],
  ['expired', spelled(await payloadOf({ expiry: expiry - 90_000, exp: expiry - 90_000 })), 'credential-expired'],
]

test.each(table)('%s is refused', async (_name, token, code) => {
  await expect(verifyWalletToken(token, facts)).rejects.toMatchObject({ code })
})

test('another spelling of the same bytes is refused', async () => {
  await expect(verifyWalletToken(`${encodeWalletToken(good)}=`, facts)).rejects.toMatchObject({
    code: 'credential-malformed',
  })
})

test('a token of another installation is refused', async () => {
  await expect(
    verifyWalletToken(encodeWalletToken(good), { ...facts, domain: 'elsewhere.example' }),
  ).rejects.toMatchObject({ code: 'credential-malformed' })
})

test('a good token gives its payload back, and the client finds the same id', async () => {
  const token = encodeWalletToken(good)
  expect(await verifyWalletToken(token, facts)).toEqual(good)
  expect(await tokenIdOf(token)).toBe(walletTokenId(good))
})

test('a rewritten unsigned member makes another id of the same session; a new statement another session', async () => {
  const rewritten = { ...good, iat: good.iat - 1 }
  expect(walletTokenId(rewritten)).not.toBe(walletTokenId(good))
  expect(walletTokenSessionId(rewritten)).toBe(walletTokenSessionId(good))
  expect(walletTokenId({ ...good, signature: 'x' })).toBe(walletTokenId(good))
  expect(walletTokenSessionId(await payloadOf({ epoch: 1 }))).not.toBe(walletTokenSessionId(good))
})

test('a payload that another program wrote, with blanks and lines, verifies', async () => {
  expect(await verifyWalletToken(written(JSON.stringify(good, null, 2)), facts)).toEqual(good)
})
