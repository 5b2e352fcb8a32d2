// Our own access tokens: RFC 9068 JWTs, ES256. Verified by hand and synchronously: strict segments, canonical base64url,
// exactly the header members we write, required claims.
import { sign, verify, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { GatewayError } from '../domain/errors.ts'
import { clockSkewSecondsMax, sessionTokenSecondsMax } from '../domain/limits.ts'

const Header = z.strictObject({ alg: z.literal('ES256'), typ: z.literal('at+jwt'), kid: z.string().max(64) })

export const AccessClaims = z.strictObject({
  iss: z.string(),
  aud: z.string(),
  sub: z.string().regex(/^0x[0-9a-f]{40}$/),
  walletAddress: z.string(),
  sid: z.string(),
  jti: z.string().min(16).max(64),
  iat: z.number().int(),
  exp: z.number().int(),
  auth_time: z.number().int(),
  amr: z.array(z.string()),
  epoch: z.number().int().nonnegative(),
})
export type AccessClaims = z.output<typeof AccessClaims>

export type SigningKey = { readonly kid: string; readonly privateKey: KeyObject }

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Signs the claims (RFC 7515 compact form, RFC 9068 §2). */
export function signAccessToken(claims: AccessClaims, key: SigningKey): string {
  const input = `${encode({ alg: 'ES256', typ: 'at+jwt', kid: key.kid })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** Reads the key id, so that the caller can find the key. Throws `credential-malformed`. */
export function keyIdOf(token: string): string {
  return parse(Header, token.split('.')[0] ?? '').kid
}

export type Expected = {
  readonly issuer: string
  readonly audience: string
  readonly now: Date
  readonly publicKey: KeyObject
}

/** Verifies signature and claims. Throws `credential-malformed`, `credential-invalid` or `credential-expired`. */
export function verifyAccessToken(token: string, expected: Expected): AccessClaims {
  const segments = token.split('.')
  const [header = '', payload = '', signature = ''] = segments
  if (segments.length !== 3) throw malformed()
  parse(Header, header)
  const claims = parse(AccessClaims, payload)
  const bytes = canonicalBytes(signature)
  const key = { key: expected.publicKey, dsaEncoding: 'ieee-p1363' as const }
  if (bytes.length !== 64 || !verify('sha256', Buffer.from(`${header}.${payload}`), key, bytes)) {
    throw new GatewayError('credential-invalid', 'The signature does not match.')
  }
  const now = expected.now.getTime() / 1000
  // RFC 9068 §4: iss and aud exactly; a lifetime longer than we ever issue is not ours.
  if (claims.iss !== expected.issuer || claims.aud !== expected.audience) throw malformed()
  if (claims.iat > now + clockSkewSecondsMax || claims.exp - claims.iat > sessionTokenSecondsMax) throw malformed()
  if (claims.exp <= now) throw new GatewayError('credential-expired', 'The token has expired.')
  return claims
}

function parse<T>(schema: z.ZodType<T>, segment: string): T {
  try {
    const text = canonicalBytes(segment).toString('utf8')
    const value: unknown = JSON.parse(text)
    // RFC 8725 §2.4: two readers of a member named twice may see two values. We write no such text, and no blanks.
    if (JSON.stringify(value) !== text) throw malformed()
    return schema.parse(value)
  } catch {
    throw malformed()
  }
}

// Several endings of base64url decode to the same bytes; only the canonical one is accepted.
function canonicalBytes(segment: string): Buffer {
  const bytes = Buffer.from(segment, 'base64url')
  if (segment === '' || bytes.toString('base64url') !== segment) throw malformed()
  return bytes
}

const malformed = () => new GatewayError('credential-malformed', 'The token cannot be read.')
