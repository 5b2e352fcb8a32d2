// Signing in with a wallet, on both path prefixes; revoking; the key set.
import { randomBytes } from 'node:crypto'
import type { Request } from 'express'
import { parseAddress } from '../crypto/address.ts'
import type { Pool } from '../db/pool.ts'
import { challengeSecondsMax } from '../domain/limits.ts'
import type { Issued, Login } from '../gateway/login.ts'
import { limitCaller, limitRevoking } from '../gateway/rate-limit.ts'
import { revokeOwn } from '../gateway/revocation.ts'
import type { SigningKeys } from '../gateway/signing-keys.ts'
import * as shapes from '../schemas/auth.ts'
import type { Events } from '../telemetry/events.ts'
import { challengeCookie, clearCookie, readCookie, sessionCookie, setCookie } from './cookies.ts'
import { route, type Reply, type Route } from './route.ts'

export type AuthDeps = {
  readonly pool: Pool
  readonly login: Login
  readonly keys: Pick<SigningKeys, 'publicKeys'>
  readonly events: Pick<Events, 'scopesRevoked'>
  /** Makes this process see a revocation before the reply leaves. */
  readonly refreshEpochs: () => Promise<void>
}

/** All routes of the sign-in family. */
export function createAuthRoutes(deps: AuthDeps): Route[] {
  return [
    ...['/auth', '/api/auth'].flatMap((prefix) => [...challengeRoutes(deps, prefix), ...tokenRoutes(deps, prefix)]),
    revokeRoute(deps),
    keySetRoute(deps),
  ]
}

const guard = { kind: 'public', because: 'Nobody is known before signing in.' } as const

function challengeRoutes(deps: AuthDeps, prefix: string): Route[] {
  return [
    route({
      method: 'get',
      path: `${prefix}/challenge`,
      family: 'wallet',
      summary: 'A message to sign, single use, valid for five minutes.',
      guard,
      query: shapes.ChallengeQuery,
      responses: { 200: shapes.Challenge },
      async handle({ query, request, caller }) {
        const address = query.walletAddress === undefined ? undefined : parseAddress(query.walletAddress)
        await limitCaller(deps.pool, caller)
        const browser = browserOf(request)
        const body = await deps.login.challenge({ address, browser })
        const headers = browser === undefined ? {} : { 'set-cookie': bindBrowser(browser) }
        return { status: 200, headers, body }
      },
    }),
    route({
      method: 'post',
      path: `${prefix}/verify`,
      family: 'wallet',
      summary: 'The signed challenge for a session token of 24 hours.',
      guard,
      answersSecret: true,
      body: shapes.VerifyRequest,
      responses: { 200: shapes.VerifyReply },
      async handle({ body, request, caller }) {
        const address = parseAddress(body.walletAddress)
        await limitCaller(deps.pool, caller)
        const browser = readCookie(request, challengeCookie)
        return issued(await deps.login.verify({ ...body, address, browser }))
      },
    }),
  ]
}

// A browser gets a cookie at the challenge and must show it at verify: a signature made for another site's visitor, or
// planted by one, signs nobody in here. Whoever sends the cookie already is held to it as well.
function browserOf(request: Request): string | undefined {
  const shown = readCookie(request, challengeCookie)
  if (shown !== undefined && /^[\w-]{22,64}$/.test(shown)) return shown
  const isBrowser = request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined
  return isBrowser ? randomBytes(24).toString('base64url') : undefined
}

const bindBrowser = (browser: string) => setCookie(challengeCookie, browser, challengeSecondsMax)

function tokenRoutes(deps: AuthDeps, prefix: string): Route[] {
  return [
    route({
      method: 'get',
      path: `${prefix}/token-message`,
      family: 'wallet',
      summary: 'The statement a wallet signs for a wallet token.',
      guard,
      query: shapes.TokenMessageQuery,
      responses: { 200: shapes.TokenMessage },
      async handle({ query: { walletAddress, ...query }, caller }) {
        const address = parseAddress(walletAddress)
        await limitCaller(deps.pool, caller)
        const message = await deps.login.tokenMessage({ ...query, serverId: query.serverId, address })
        return { status: 200, body: { message } }
      },
    }),
    route({
      method: 'post',
      path: `${prefix}/create-token`,
      family: 'wallet',
      summary: 'The signed statement as a wallet token that verifies without storage.',
      guard,
      answersSecret: true,
      body: shapes.CreateTokenRequest,
      responses: { 200: shapes.VerifyReply },
      async handle({ body: { walletAddress, ...body }, caller }) {
        const address = parseAddress(walletAddress)
        await limitCaller(deps.pool, caller)
        return issued(await deps.login.createToken({ ...body, serverId: body.serverId, address }))
      },
    }),
  ]
}

const issued = ({ token, expiresAt, address }: Issued): Reply => ({
  status: 200,
  body: { token, expiresAt: expiresAt.toISOString(), walletAddress: address },
})

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
    async handle({ body, principal, ids }) {
      await limitRevoking(deps.pool, principal.sessionIds.usid)
      const tokenId = 'all' in body ? undefined : body.tokenId
      const { scopes, seq, epoch } = await revokeOwn(deps.pool, { principal, tokenId, span: ids })
      await deps.refreshEpochs()
      deps.events.scopesRevoked({ scopes, seq })
      const revoked = tokenId ?? 'all'
      return { status: 200, headers: { 'set-cookie': clearCookie(sessionCookie) }, body: { revoked, epoch } }
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
