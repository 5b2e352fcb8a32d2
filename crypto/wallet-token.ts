// Wallet tokens: `mcpwt_` and base64url JSON, a signed statement that verifies without storage. The id leaves the
// signature out, because signatures are malleable and ids are not.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { GatewayError } from '../domain/errors.ts'
import { clockSkewSecondsMax, permissionsMax, walletTokenSecondsMax } from '../domain/limits.ts'
import { isPermission, serverIdShape } from '../domain/permission.ts'
import { tokenMessage } from './login-message.ts'
import { canonicalJson } from './portable/canonical-json.ts'
import { recoverSigner } from './wallet-signature.ts'

export const walletTokenPrefix = 'mcpwt_'

const seconds = z.number().int().positive().max(253_402_300_799) // the last second of the year 9999

const Payload = z.strictObject({
  sub: z.string(),
  wallet: z.string().regex(/^0x[0-9a-f]{40}$/),
  iss: z.string(),
  iat: seconds,
  exp: seconds,
  expiry: seconds,
  tid: z.string().optional(),
  permissions: z.array(z.string().refine(isPermission)).max(permissionsMax),
  server_id: z.string().regex(serverIdShape).optional(),
  epoch: z.number().int().nonnegative(),
  message: z.string(),
  signature: z.string(),
})
export type WalletTokenPayload = z.output<typeof Payload>

/** The token text of a payload. */
export function encodeWalletToken(payload: WalletTokenPayload): string {
  return walletTokenPrefix + Buffer.from(JSON.stringify(payload)).toString('base64url')
}

/** SHA-256 of the canonical payload without its signature. */
export function walletTokenId(payload: WalletTokenPayload): string {
  const { signature: _signature, ...signed } = payload
  return createHash('sha256').update(canonicalJson(signed)).digest('hex')
}

/**
 * Session id of a token, from what was signed. Whoever rewrites an unsigned member (`iat`, `iss`) gets another token id
 * and the same session: ending the session ends every spelling of the token.
 */
export function walletTokenSessionId(payload: WalletTokenPayload): string {
  return createHash('sha256').update(payload.message).digest('hex').slice(0, 32)
}

/** Verifies without storage: rebuild the message, compare, recover, check the times. Throws `credential-…` errors. */
export async function verifyWalletToken(
  token: string,
  facts: { domain: string; now: Date },
): Promise<WalletTokenPayload> {
  const payload = decode(token)
  const expected = tokenMessage({
    domain: facts.domain,
    address: payload.wallet,
    expiry: payload.expiry,
    permissions: payload.permissions,
    serverId: payload.server_id,
    epoch: payload.epoch,
  })
  const agree = payload.sub === payload.wallet && payload.exp === payload.expiry && payload.message === expected
  if (!agree) throw new GatewayError('credential-malformed', 'The payload differs from what was signed.')
  const now = facts.now.getTime() / 1000
  if (payload.expiry <= now) throw new GatewayError('credential-expired', 'The wallet token has expired.')
  if (payload.expiry > now + walletTokenSecondsMax + clockSkewSecondsMax) {
    throw new GatewayError('credential-malformed', 'The wallet token lives too long.')
  }
  const signer = await recoverSigner(expected, payload.signature).catch(() => undefined)
  if (signer !== payload.wallet) throw new GatewayError('credential-invalid', 'The wallet did not sign this token.')
  return payload
}

function decode(token: string): WalletTokenPayload {
  const text = token.slice(walletTokenPrefix.length)
  const bytes = Buffer.from(text, 'base64url')
  // Canonical base64url: another ending of the same bytes would be another text for the same token.
  if (bytes.toString('base64url') !== text) throw malformed()
  try {
    const payload = Payload.parse(JSON.parse(bytes.toString('utf8')))
    // RFC 8725 §2.4: two readers of a member named twice may see two values.
    if (namesIn(bytes.toString('utf8')) !== Object.keys(payload).length) throw malformed()
    return payload
  } catch {
    throw malformed()
  }
}

// Members of a flat object: strings followed by a colon.
const namesIn = (text: string) => [...text.matchAll(/"(?:\\.|[^"\\])*"(\s*:)?/g)].filter(([, colon]) => colon).length

const malformed = () => new GatewayError('credential-malformed', 'The wallet token cannot be read.')
