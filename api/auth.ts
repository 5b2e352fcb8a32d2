// Signing in with a wallet, on both path prefixes; revoking; the key set.
import { createHash, randomBytes } from 'node:crypto'
import type { Request } from 'express'
import { consumeOneTime, insertOneTime, ownsToken, readEpoch, takeRate } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { revokeScopes } from '../db/revocation.ts'
import { GatewayError } from '../domain/errors.ts'
import { authRequestsPerMinuteMax, linkSecondsMax } from '../domain/limits.ts'
import { scopeName } from '../domain/revocation.ts'
import type { Issued, Login } from '../gateway/login.ts'
import type { Clock } from '../gateway/ports.ts'
import type { SigningKeys } from '../gateway/signing-keys.ts'
import * as shapes from '../schemas/auth.ts'
import type { Events } from '../telemetry/events.ts'
import { cookieName } from './app.ts'
import { route, type Reply, type Route } from './route.ts'

export type AuthDeps = {
  readonly pool: Pool
  readonly login: Login
  readonly keys: SigningKeys
  readonly events: Events
  readonly clock: Clock
  readonly publicUrl: string
  /** Development on loopback: sign-in links exist. */
  readonly links: boolean
  readonly temporalUiUrl: string | undefined
  /** Makes this process see a revocation before the reply leaves. */
  readonly refreshEpochs: () => Promise<void>
}

/** All routes of the sign-in family. */
export function createAuthRoutes(deps: AuthDeps): Route[] {
  const prefixes = ['/auth', '/api/auth']
  return [
    ...prefixes.flatMap((prefix) => [...challengeRoutes(deps, prefix), ...tokenRoutes(deps, prefix)]),
    revokeRoute(deps),
    keySetRoute(deps),
    ...(deps.links ? linkRoutes(deps) : []),
  ]
}

const because = 'Nobody is known before signing in.'

function challengeRoutes(deps: AuthDeps, prefix: string): Route[] {
  return [
    route({
      method: 'get',
      path: `${prefix}/challenge`,
      family: 'wallet',
      summary: 'A message to sign, single use, valid for five minutes.',
      guard: { kind: 'public', because },
      query: shapes.ChallengeQuery,
      responses: { 200: shapes.Challenge },
      async handle({ query, request }) {
        await limitRate(deps.pool, request, query.walletAddress)
        return { status: 200, body: await deps.login.challenge(query.walletAddress) }
      },
    }),
    route({
      method: 'post',
      path: `${prefix}/verify`,
      family: 'wallet',
      summary: 'The signed challenge for a session token of 24 hours.',
      guard: { kind: 'public', because },
      body: shapes.VerifyRequest,
      responses: { 200: shapes.VerifyReply },
      async handle({ body, request }) {
        await limitRate(deps.pool, request, body.walletAddress)
        const { walletAddress: address, signature, nonce } = body
        return issued(await deps.login.verify({ address, signature, nonce }))
      },
    }),
  ]
}

function tokenRoutes(deps: AuthDeps, prefix: string): Route[] {
  return [
    route({
      method: 'get',
      path: `${prefix}/token-message`,
      family: 'wallet',
      summary: 'The statement a wallet signs for a wallet token.',
      guard: { kind: 'public', because },
      query: shapes.TokenMessageQuery,
      responses: { 200: shapes.TokenMessage },
      async handle({ query, request }) {
        await limitRate(deps.pool, request, query.walletAddress)
        const { walletAddress: address, expiresAt, permissions, serverId } = query
        return {
          status: 200,
          body: { message: await deps.login.tokenMessage({ address, expiresAt, permissions, serverId }) },
        }
      },
    }),
    route({
      method: 'post',
      path: `${prefix}/create-token`,
      family: 'wallet',
      summary: 'The signed statement as a wallet token that verifies without storage.',
      guard: { kind: 'public', because },
      body: shapes.CreateTokenRequest,
      responses: { 200: shapes.VerifyReply },
      async handle({ body, request }) {
        await limitRate(deps.pool, request, body.walletAddress)
        const { walletAddress: address, expiresAt, permissions, serverId, signature } = body
        return issued(await deps.login.createToken({ address, expiresAt, permissions, serverId, signature }))
      },
    }),
  ]
}

const issued = ({ token, expiresAt, address }: Issued): Reply => ({
  status: 200,
  body: { token, expiresAt: expiresAt.toISOString(), walletAddress: address },
})

async function limitRate(pool: Pool, request: Request, address: string | undefined): Promise<void> {
  const keys = [
    `auth:address:${request.socket.remoteAddress ?? 'unknown'}`,
    ...(address === undefined ? [] : [`auth:wallet:${address}`]),
  ]
  for (const key of keys) {
    const waitMs = await takeRate(pool, { key, perMinute: authRequestsPerMinuteMax, burst: authRequestsPerMinuteMax })
    if (waitMs > 0) throw new GatewayError('rate-limited', 'Too many sign-in requests.', { retryAfterMs: waitMs })
  }
}

function revokeRoute(deps: AuthDeps): Route {
  return route({
    method: 'post',
    path: '/api/auth/revoke',
    family: 'wallet',
    summary: 'Ends one token, or everything signed before now.',
    guard: { kind: 'wallet', permission: 'wallet:revoke' },
    body: shapes.RevokeRequest,
    cookie: true,
    responses: { 200: shapes.RevokeReply },
    async handle({ body, principal }) {
      const scope = 'all' in body ? scopeName('wallet', principal.wallet) : scopeName('token', body.tokenId)
      if ('tokenId' in body && !(await ownsToken(deps.pool, body.tokenId, principal.walletId))) {
        throw new GatewayError('not-found', 'There is no such token of yours.')
      }
      const seq = await revokeScopes(deps.pool, {
        scopes: [scope],
        reason: 'revoked by its owner',
        by: principal.wallet,
      })
      await deps.refreshEpochs()
      deps.events.scopesRevoked({ scopes: [scope], seq })
      const headers = { 'set-cookie': `${cookieName}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0` }
      return {
        status: 200,
        headers,
        body: { revoked: 'all' in body ? 'all' : body.tokenId, epoch: await readEpoch(deps.pool, scope) },
      }
    },
  })
}

function keySetRoute(deps: AuthDeps): Route {
  return route({
    method: 'get',
    path: '/.well-known/jwks.json',
    family: 'plain',
    summary: 'Public keys of access tokens (RFC 7517).',
    guard: { kind: 'public', because: 'Public keys are public.' },
    responses: { 200: shapes.KeySet },
    handle: async () => ({ status: 200, body: { keys: deps.keys.publicKeys('access-token').map((key) => key.jwk) } }),
  })
}

// A browser on the same machine is signed in by a one-time address, asked for with a bearer token. Development only.
function linkRoutes(deps: AuthDeps): Route[] {
  const digest = (code: string) => createHash('sha256').update(code).digest('hex')
  return [
    route({
      method: 'post',
      path: '/auth/link',
      family: 'wallet',
      summary: 'A one-time address that signs a browser in (development).',
      // The link gives a full session: only a full credential may ask for one.
      guard: { kind: 'wallet', permission: '*:*' },
      responses: { 200: shapes.LinkReply },
      async handle({ principal }) {
        const code = randomBytes(24).toString('base64url')
        const expiresAt = new Date(deps.clock().getTime() + linkSecondsMax * 1000)
        const payload = { address: principal.wallet, operator: principal.roles.includes('operator') }
        await insertOneTime(deps.pool, { kind: 'link', id: digest(code), payload, expiresAt })
        return { status: 200, body: { url: `${deps.publicUrl}/auth/link/${code}`, expiresIn: linkSecondsMax } }
      },
    }),
    route({
      method: 'get',
      path: '/auth/link/:code',
      family: 'wallet',
      summary: 'Signs the browser in, once.',
      guard: { kind: 'public', because: 'The code is the credential.' },
      params: shapes.LinkParams,
      responses: { 302: null },
      async handle({ params }) {
        const payload = await consumeOneTime(deps.pool, { kind: 'link', id: digest(params.code), now: deps.clock() })
        if (!payload) throw new GatewayError('not-found', 'The link was used or has expired.')
        const { token } = await deps.login.issueSession(String(payload['address']))
        const cookie = `${cookieName}=${token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=86400`
        const location = payload['operator'] === true ? (deps.temporalUiUrl ?? '/') : '/'
        return { status: 302, headers: { 'set-cookie': cookie, location } }
      },
    }),
  ]
}
