// Access tokens: one form, one algorithm, one spelling; everything else is malformed, never understood.
import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { expect, test } from 'vitest'
import { keyIdOf, signAccessToken, verifyAccessToken, type AccessClaims } from '../../crypto/access-token.ts'

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const now = new Date('2026-06-01T12:00:00Z')
const seconds = now.getTime() / 1000
const issuer = 'https://gateway.example'
const claims: AccessClaims = {
  iss: issuer,
  aud: issuer,
  sub: `0x${'ab'.repeat(20)}`,
  walletAddress: `0x${'ab'.repeat(20)}`,
  sid: 'session',
  jti: '0123456789abcdef',
  iat: seconds - 60,
  exp: seconds + 3_600,
  auth_time: seconds - 60,
  amr: ['wallet'],
  epoch: 0,
}
const header = { alg: 'ES256', typ: 'at+jwt', kid: 'k1' }
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

function forge(head: unknown, body: unknown, key: KeyObject = pair.privateKey): string {
  const input = `${encode(head)}.${encode(body)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const text = (value: unknown) => JSON.stringify(value)
const forgeText = (head: string, body = text(claims)) => {
  const input = [head, body].map((part) => Buffer.from(part).toString('base64url')).join('.')
  const bytes = sign('sha256', Buffer.from(input), { key: pair.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${bytes.toString('base64url')}`
}
const respelled = (change: (text: string) => string) => forgeText(text(header), change(text(claims)))

const good = signAccessToken(claims, { kid: 'k1', privateKey: pair.privateKey })
const [head = '', body = '', signature = ''] = good.split('.')
const hmac = () => {
  const input = `${encode({ ...header, alg: 'HS256' })}.${body}`
  const secret = pair.publicKey.export({ format: 'pem', type: 'spki' })
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}
const der = () => {
  const bytes = sign('sha256', Buffer.from(`${head}.${body}`), pair.privateKey)
  return `${head}.${body}.${bytes.toString('base64url')}`
}
// The last character of 64 bytes in base64url carries four unused bits.
const otherEnding = () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return `${good.slice(0, -1)}${alphabet[alphabet.indexOf(good.at(-1) ?? '') ^ 1]}`
}
const { exp: _exp, ...withoutExp } = claims
const { jti: _jti, ...withoutJti } = claims

const table: readonly (readonly [string, string, string])[] = [
  ['nothing', '', 'credential-malformed'],
  ['dots', '..', 'credential-malformed'],
  ['two segments', `${head}.${body}`, 'credential-malformed'],
  ['a member named twice', respelled((text) => text.replace('{', '{"sub":"admin",')), 'credential-malformed'],
  ['a header member named twice', forgeText(text(header).replace('{', '{"alg":"none",')), 'credential-malformed'],
  ['blanks between members', respelled((text) => text.replace(',', ', ')), 'credential-malformed'],
  ['five segments', `${good}.x.y`, 'credential-malformed'],
  ['no signature', `${head}.${body}.`, 'credential-malformed'],
  ['alg none', `${encode({ ...header, alg: 'none' })}.${body}.`, 'credential-malformed'],
  ['alg none with a signature', forge({ ...header, alg: 'none' }, claims), 'credential-malformed'],
  ['HMAC keyed by the public key', hmac(), 'credential-malformed'],
  ['an unknown header member', forge({ ...header, jku: 'https://evil.example' }, claims), 'credential-malformed'],
  ['a key inside the header', forge({ ...header, jwk: {} }, claims), 'credential-malformed'],
  ['a critical extension', forge({ ...header, crit: ['x'] }, claims), 'credential-malformed'],
  ['typ JWT', forge({ ...header, typ: 'JWT' }, claims), 'credential-malformed'],
  ['no typ', forge({ alg: 'ES256', kid: 'k1' }, claims), 'credential-malformed'],
  ['no exp', forge(header, withoutExp), 'credential-malformed'],
  ['no jti', forge(header, withoutJti), 'credential-malformed'],
  ['an unknown claim', forge(header, { ...claims, cnf: { jkt: 'x' } }), 'credential-malformed'],
  ['several audiences', forge(header, { ...claims, aud: [issuer] }), 'credential-malformed'],
  ['another audience', forge(header, { ...claims, aud: 'https://evil.example' }), 'credential-malformed'],
  ['another issuer', forge(header, { ...claims, iss: 'https://evil.example' }), 'credential-malformed'],
  ['a longer life than is ever issued', forge(header, { ...claims, exp: seconds + 90_000 }), 'credential-malformed'],
  ['issued tomorrow', forge(header, { ...claims, iat: seconds + 3_000 }), 'credential-malformed'],
  ['a subject that is no wallet', forge(header, { ...claims, sub: 'admin' }), 'credential-malformed'],
  ['a non-canonical ending', otherEnding(), 'credential-malformed'],
  ['padding', `${good}==`, 'credential-malformed'],
  ['a stranger’s key', forge(header, claims, stranger.privateKey), 'credential-invalid'],
  ['a DER signature', der(), 'credential-invalid'],
  [
    'a changed payload',
    `${head}.${encode({ ...claims, sub: `0x${'cd'.repeat(20)}` })}.${signature}`,
    'credential-invalid',
  ],
  ['a signature of zeros', `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`, 'credential-invalid'],
  ['expired now', forge(header, { ...claims, exp: seconds }), 'credential-expired'],
]

test.each(table)('%s is refused', (_name, token, code) => {
  const verify = () => verifyAccessToken(token, { issuer, audience: issuer, now, publicKey: pair.publicKey })
  expect(verify).toThrow(expect.objectContaining({ code }))
})

test('our own token gives its claims back', () => {
  expect(keyIdOf(good)).toBe('k1')
  expect(verifyAccessToken(good, { issuer, audience: issuer, now, publicKey: pair.publicKey })).toEqual(claims)
})
