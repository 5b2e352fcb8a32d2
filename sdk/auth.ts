// Signing in: the server renders a text, the caller's wallet signs it. Keys never come here.
import { base64url, decodeJwt } from 'jose'
import { z } from 'zod'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import { GatehouseError } from './errors.ts'
import type { Transport } from './http.ts'
import { Challenge, Issued, Rendered } from './shapes.ts'
import { checkChallenge, checkTokenStatement } from './statement.ts'

/**
 * A wallet as this client sees it. `signMessage` makes an EIP-191 signature of a text.
 *
 * @example
 * const account = privateKeyToAccount(key) // from viem, or any wallet
 * const signer: Signer = { address: account.address, signMessage: (text) => account.signMessage({ message: text }) }
 */
export type Signer = {
  readonly address: string
  readonly signMessage: (text: string) => Promise<`0x${string}`>
}

export type Credential = {
  /** A session token lives for a day; a wallet token as long as was signed, and survives the server's storage. */
  readonly kind: 'session' | 'wallet-token'
  readonly token: string
  readonly expiresAt: string
  readonly walletAddress: string
}

export type WalletTokenRequest = {
  readonly expiresAt: Date
  /** `namespace:action` patterns; none means everything the owner may do. */
  readonly permissions?: readonly string[]
  /** Confines the token to one tool server. */
  readonly serverId?: string
}

/** Signs a one-time challenge for a session token. */
export async function signInByChallenge(transport: Transport, baseUrl: string, signer: Signer): Promise<Credential> {
  const query = new URLSearchParams({ walletAddress: signer.address }).toString()
  const { nonce, message } = await transport.call({ method: 'GET', path: `/auth/challenge?${query}` }, Challenge)
  checkChallenge(baseUrl, message)
  const signature = await signer.signMessage(message)
  const body = { walletAddress: signer.address, signature, nonce }
  const issued = await transport.call({ method: 'POST', path: '/auth/verify', body }, Issued)
  return credential('session', issued)
}

const absent = new Set([404, 405, 501, 503])

/**
 * Signs a wallet token. A server without this route gets a challenge instead, unless the token was to be confined: a
 * wider credential than asked for is never taken.
 */
export async function signWalletToken(
  transport: Transport,
  baseUrl: string,
  { signer, request }: { signer: Signer; request: WalletTokenRequest },
): Promise<Credential> {
  try {
    return await createToken(transport, baseUrl, { signer, request })
  } catch (error) {
    const confined = (request.permissions ?? []).some((each) => each !== '*:*') || request.serverId !== undefined
    if (confined || !(error instanceof GatehouseError) || !absent.has(error.status)) throw error
    return signInByChallenge(transport, baseUrl, signer)
  }
}

async function createToken(
  transport: Transport,
  baseUrl: string,
  { signer, request }: { signer: Signer; request: WalletTokenRequest },
): Promise<Credential> {
  const expiresAt = request.expiresAt.toISOString()
  const permissions = [...(request.permissions ?? [])]
  const server = request.serverId === undefined ? {} : { serverId: request.serverId }
  const query = new URLSearchParams({
    walletAddress: signer.address,
    expiresAt,
    ...(permissions.length === 0 ? {} : { permissions: permissions.join(',') }),
    ...server,
  }).toString()
  const { message } = await transport.call({ method: 'GET', path: `/api/auth/token-message?${query}` }, Rendered)
  const { address } = signer
  checkTokenStatement(baseUrl, message, {
    address,
    expiresAt: request.expiresAt,
    permissions,
    serverId: request.serverId,
  })
  const signature = await signer.signMessage(message)
  const body = { walletAddress: signer.address, signature, expiresAt, permissions, ...server }
  const issued = await transport.call({ method: 'POST', path: '/api/auth/create-token', body }, Issued)
  return credential('wallet-token', issued)
}

const credential = (kind: Credential['kind'], { token, expiresAt, walletAddress }: z.output<typeof Issued>) => ({
  kind,
  token,
  expiresAt,
  walletAddress,
})

const walletTokenPrefix = 'mcpwt_'
const Payload = z.record(z.string(), z.unknown())

/**
 * The id under which a token is revoked: `jti` of a session token; SHA-256 of a wallet token's canonical payload without
 * the malleable signature.
 */
export async function tokenIdOf(token: string): Promise<string> {
  if (!token.startsWith(walletTokenPrefix)) {
    const { jti } = decodeJwt(token)
    if (jti === undefined) throw new TypeError('The token has no id.')
    return jti
  }
  const text = new TextDecoder().decode(base64url.decode(token.slice(walletTokenPrefix.length)))
  const { signature: _signature, ...signed } = Payload.parse(JSON.parse(text))
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(canonicalJson(signed)))
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
