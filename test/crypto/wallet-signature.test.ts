// Only one spelling of a wallet's signature is accepted, and only by the wallet that made it.
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { parseAddress } from '../../crypto/address.ts'
import { loginMessage, tokenMessage } from '../../crypto/login-message.ts'
import { recoverSigner } from '../../crypto/wallet-signature.ts'

const account = privateKeyToAccount(generatePrivateKey())
const address = account.address.toLowerCase()
const message = 'sign me'
const signature = await account.signMessage({ message })
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** The twin of a signature: (r, n − s) with the other recovery id. Most libraries accept it. */
function highS(text: string): string {
  const s = order - BigInt(`0x${text.slice(66, 130)}`)
  return `${text.slice(0, 66)}${s.toString(16).padStart(64, '0')}${text.endsWith('1b') ? '1c' : '1b'}`
}

test.each([
  ['nothing', ''],
  ['no prefix', signature.slice(2)],
  ['64 bytes (ERC-2098)', signature.slice(0, 130)],
  ['66 bytes', `${signature}00`],
  ['a high s', highS(signature)],
  ['recovery id 2', `${signature.slice(0, 130)}02`],
  ['recovery id 29', `${signature.slice(0, 130)}1d`],
  ['EIP-155 recovery ids', `${signature.slice(0, 130)}25`],
  ['zeros', `0x${'00'.repeat(64)}1b`],
  ['r of zero', `0x${'00'.repeat(32)}${signature.slice(66)}`],
  ['letters', `0x${'zz'.repeat(65)}`],
  ['an r beyond the curve', `0x${'ff'.repeat(32)}${signature.slice(66)}`],
])('%s is refused', async (_name, text) => {
  await expect(recoverSigner(message, text)).rejects.toMatchObject({ code: 'signature-invalid' })
})

test('another message or a changed signature names another wallet, or none', async () => {
  expect(await recoverSigner('sign you', signature)).not.toBe(address)
  const flipped = `${signature.slice(0, 130)}${signature.endsWith('1b') ? '1c' : '1b'}`
  expect(await recoverSigner(message, flipped).catch(() => 'nobody')).not.toBe(address)
})

test('the signer is found, with recovery ids from 27 and from 0', async () => {
  expect(await recoverSigner(message, signature)).toBe(address)
  const ledger = `${signature.slice(0, 130)}${signature.endsWith('1b') ? '00' : '01'}`
  expect(await recoverSigner(message, ledger)).toBe(address)
})

test.each([
  '0xFB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
  '0x52908400098527886e0F7030069857D2E4169EE7',
  '0XFB6916095CA1DF60BB79CE92CE3EA74C37C5D359',
])('the mistyped address %s is refused', (text) => {
  expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: 'request-invalid' }))
})

test('addresses in one case or with their checksum (EIP-55) are accepted', () => {
  const written = '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359'
  const upper = `0x${written.slice(2).toUpperCase()}`
  for (const text of [written, written.toLowerCase(), upper]) expect(parseAddress(text)).toBe(written.toLowerCase())
})

test('the login text is EIP-4361, rendered whole', () => {
  const text = loginMessage({
    domain: 'gateway.example',
    uri: 'https://gateway.example',
    nonce: '00ff'.repeat(8),
    requestId: 'request-1',
    issuedAt: new Date('2026-01-02T03:04:05Z'),
    expiresAt: new Date('2026-01-02T03:09:05Z'),
    address: '0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359',
  })
  expect(text).toBe(
    `gateway.example wants you to sign in with your Ethereum account:
0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359

Sign in to Gatehouse. This costs nothing and moves nothing.

URI: https://gateway.example
Version: 1
Chain ID: 8453
Nonce: 00ff00ff00ff00ff00ff00ff00ff00ff
Issued At: 2026-01-02T03:04:05.000Z
Expiration Time: 2026-01-02T03:09:05.000Z
Request ID: request-1
Resources:
- https://gateway.example`,
  )
})

test('each fact of a token changes the text that is signed', () => {
  const facts = { domain: 'd', address, expiry: 2_000_000_000, permissions: ['chat:*'], serverId: 'any', epoch: 1 }
  const texts = [
    facts,
    { ...facts, domain: 'e' },
    { ...facts, expiry: 2_000_000_001 },
    { ...facts, permissions: [] },
    { ...facts, serverId: undefined },
    { ...facts, epoch: 2 },
  ].map(tokenMessage)
  expect(new Set(texts).size).toBe(texts.length)
})
