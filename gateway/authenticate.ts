// One authenticator: it picks the style by shape, never by trying all, and every style ends in one Principal. A token
// that was verified before is found by its digest; expiry and revocation are looked at again on every hit.
import { createHash } from 'node:crypto'
import { keyIdOf, verifyAccessToken } from '../crypto/access-token.ts'
import { verifyWalletToken, walletTokenPrefix, walletTokenSessionId } from '../crypto/wallet-token.ts'
import { hasNode, openWallet, readEpoch } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { GatewayError, toError } from '../domain/errors.ts'
import { authorizationBytesMax, verifiedTokensMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import { firstRevoked, scopeName, type GateScope } from '../domain/revocation.ts'
import type { Events } from '../telemetry/events.ts'
import type { LiveEpochs } from './epochs.ts'
import type { Clock, Epochs, Members } from './ports.ts'
import { limitCaller, limitWallet } from './rate-limit.ts'
import type { SigningKeys } from './signing-keys.ts'
import { openTokenSession } from './token-session.ts'

export type AuthenticatorDeps = {
  readonly pool: Pool
  readonly keys: SigningKeys
  readonly epochs: Epochs & Pick<LiveEpochs, 'refresh'>
  readonly members: Members
  readonly events: Events
  readonly clock: Clock
  readonly publicUrl: string
}

/** What a verified token says; roles and tenant are read anew for each request. */
type Verified = Pick<Principal, 'wallet' | 'walletId' | 'permissions' | 'tokenId' | 'expiresAt'> & {
  readonly usid: string
  readonly epoch: number
  readonly serverId?: string
  readonly authenticatedAt?: Date
}

export type Credentials = {
  readonly authorizationHeaders: readonly string[]
  readonly cookie: string | undefined
  /** Network address of the caller; first uses of self-signed tokens are limited by it. */
  readonly remoteAddress: string | undefined
}

export type Authenticate = (credentials: Credentials) => Promise<Principal>

/** Builds the authenticator of a process. */
export function createAuthenticator(deps: AuthenticatorDeps): Authenticate {
  const cache = createVerifiedCache()
  const trustFeed = createFeedTrust(deps.epochs)
  return async (credentials) => {
    try {
      const token = tokenOf(credentials)
      const digest = createHash('sha256').update(token).digest('base64')
      const known = cache.get(digest)
      const verified = known ?? (await verifyToken(deps, token, credentials.remoteAddress))
      if (!known) cache.set(digest, verified)
      await trustFeed()
      return principalFrom(deps, verified)
    } catch (error) {
      const code = error instanceof GatewayError ? error.code : 'internal'
      deps.events.credentialRefused({ code, reason: toError(error).message })
      throw error
    }
  }
}

// A process that is cut off from the revocations knows nobody: it asks once for all who wait, then refuses.
function createFeedTrust({ isFresh, refresh }: AuthenticatorDeps['epochs']): () => Promise<void> {
  let asking: Promise<void> | undefined
  return async () => {
    if (isFresh()) return
    await (asking ??= refresh().finally(() => (asking = undefined))).catch((cause: unknown) => {
      throw new GatewayError('revocation-feed-stale', 'Revocations cannot be checked right now.', { cause })
    })
  }
}

// The least recently used leaves first: a Map keeps the order of insertion.
function createVerifiedCache() {
  const cache = new Map<string, Verified>()
  const set = (digest: string, verified: Verified) => {
    cache.delete(digest)
    cache.set(digest, verified)
    if (cache.size > verifiedTokensMax) cache.delete(cache.keys().next().value ?? '')
  }
  return {
    set,
    get(digest: string): Verified | undefined {
      const verified = cache.get(digest)
      if (verified) set(digest, verified)
      return verified
    },
  }
}

// RFC 6750 §2: exactly one credential. The cookie counts only where the route accepts it and no header is sent.
function tokenOf({ authorizationHeaders, cookie }: Credentials): string {
  if (authorizationHeaders.length > 1)
    throw new GatewayError('credential-malformed', 'There are several Authorization headers.')
  const [header] = authorizationHeaders
  if (header === undefined && (cookie === undefined || cookie === ''))
    throw new GatewayError('credential-missing', 'No credential was sent.')
  const credential = header ?? `Bearer ${cookie}`
  if (credential.length > authorizationBytesMax)
    throw new GatewayError('credential-malformed', 'The credential is too long.')
  const match = /^Bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(credential)
  if (!match?.[1]) throw new GatewayError('credential-malformed', 'The credential is not a bearer token.')
  return match[1]
}

async function verifyToken(deps: AuthenticatorDeps, token: string, remoteAddress?: string): Promise<Verified> {
  return token.startsWith(walletTokenPrefix) ? verifyWallet(deps, token, remoteAddress) : verifySession(deps, token)
}

async function verifyWallet(deps: AuthenticatorDeps, token: string, remoteAddress?: string): Promise<Verified> {
  const payload = await verifyWalletToken(token, { domain: new URL(deps.publicUrl).host, now: deps.clock() })
  // Signed ahead of time, it would outlive the revocations up to its epoch.
  if (payload.epoch > (await readEpoch(deps.pool, scopeName('wallet', payload.wallet))))
    throw new GatewayError('credential-invalid', 'The wallet token names an epoch that has not begun.')
  if (!(await hasNode(deps.pool, walletTokenSessionId(payload)))) {
    await limitCaller(deps.pool, remoteAddress)
    await limitWallet(deps.pool, payload.wallet)
  }
  return {
    ...(await openTokenSession(deps, payload)),
    wallet: payload.wallet,
    permissions: payload.permissions,
    expiresAt: new Date(payload.expiry * 1000),
    epoch: payload.epoch,
    ...(payload.server_id === undefined ? {} : { serverId: payload.server_id }),
  }
}

async function verifySession(deps: AuthenticatorDeps, token: string): Promise<Verified> {
  const key = await deps.keys.find(keyIdOf(token))
  if (!key || key.purpose !== 'access-token')
    throw new GatewayError('credential-invalid', 'No key of ours signed this.')
  const expected = { issuer: deps.publicUrl, audience: deps.publicUrl, now: deps.clock(), publicKey: key.key }
  const claims = verifyAccessToken(token, expected)
  return {
    wallet: claims.sub,
    walletId: await openWallet(deps.pool, claims.sub),
    permissions: ['*:*'],
    tokenId: claims.jti,
    expiresAt: new Date(claims.exp * 1000),
    usid: claims.sid,
    epoch: claims.epoch,
    ...(claims.auth_time === 0 ? {} : { authenticatedAt: new Date(claims.auth_time * 1000) }),
  }
}

function principalFrom(deps: AuthenticatorDeps, verified: Verified): Principal {
  if (verified.expiresAt <= deps.clock()) throw new GatewayError('credential-expired', 'The credential has expired.')
  const { tenant, roles } = deps.members.of(verified.wallet)
  const gate: GateScope[] = [
    { scope: scopeName('global', 'all'), epoch: 0 },
    { scope: scopeName('session', verified.usid), epoch: 0 },
    { scope: scopeName('tenant', tenant), epoch: 0 },
    { scope: scopeName('token', verified.tokenId), epoch: 0 },
    { scope: scopeName('user', verified.wallet), epoch: 0 },
    { scope: scopeName('wallet', verified.wallet), epoch: verified.epoch },
  ]
  if (firstRevoked(gate, deps.epochs.epochOf) !== undefined) {
    throw new GatewayError('credential-revoked', 'The credential was revoked.')
  }
  return {
    tenant,
    subject: { kind: 'human', id: verified.wallet },
    wallet: verified.wallet,
    walletId: verified.walletId,
    actorChain: [],
    scopes: [],
    roles,
    permissions: verified.permissions,
    ...(verified.serverId === undefined ? {} : { serverId: verified.serverId }),
    proof: { kind: 'none' },
    assurance: 1,
    sessionIds: { usid: verified.usid },
    gate,
    tokenId: verified.tokenId,
    expiresAt: verified.expiresAt,
    ...(verified.authenticatedAt === undefined ? {} : { authenticatedAt: verified.authenticatedAt }),
  }
}
