// The texts a wallet signs. The server renders them whole (EIP-4361 form when the address is known) and verifies its
// own bytes; nobody parses them.
import { getAddress } from 'viem/utils'

export type LoginFacts = {
  /** Host of the public URL, from configuration, never from a header. */
  readonly domain: string
  readonly uri: string
  readonly nonce: string
  readonly requestId: string
  readonly issuedAt: Date
  readonly expiresAt: Date
  readonly address: string | undefined
}

const chainId = 8453 // Base: the chain of the money

/** EIP-4361 when the address is known; the same facts without it otherwise. */
export function loginMessage(facts: LoginFacts): string {
  const head =
    facts.address === undefined
      ? [`${facts.domain} wants you to sign in.`, '']
      : [`${facts.domain} wants you to sign in with your Ethereum account:`, getAddress(facts.address), '']
  return [
    ...head,
    'Sign in to Gatehouse. This costs nothing and moves nothing.',
    '',
    `URI: ${facts.uri}`,
    'Version: 1',
    `Chain ID: ${chainId}`,
    `Nonce: ${facts.nonce}`,
    `Issued At: ${facts.issuedAt.toISOString()}`,
    `Expiration Time: ${facts.expiresAt.toISOString()}`,
    `Request ID: ${facts.requestId}`,
    'Resources:',
    `- ${facts.uri}`,
  ].join('\n')
}

export type TokenFacts = {
  readonly domain: string
  readonly address: string
  /** Seconds since 1970. */
  readonly expiry: number
  readonly permissions: readonly string[]
  readonly serverId: string | undefined
  /** Revocation epoch of the wallet: a later revocation ends every token signed before it. */
  readonly epoch: number
}

/** The statement behind a wallet token. Everything that limits the token is signed. */
export function tokenMessage(facts: TokenFacts): string {
  return [
    `${facts.domain} asks for a Gatehouse wallet token.`,
    '',
    `Wallet: ${getAddress(facts.address)}`,
    `Expires: ${new Date(facts.expiry * 1000).toISOString()}`,
    `Permissions: ${facts.permissions.length === 0 ? 'all' : facts.permissions.join(', ')}`,
    `Server: ${facts.serverId ?? 'any server'}`, // no server id has a space
    `Epoch: ${facts.epoch}`,
  ].join('\n')
}
