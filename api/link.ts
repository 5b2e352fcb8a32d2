// Signing a browser in from the command line, in development on loopback only: elsewhere these routes do not exist.
import type { Request } from 'express'
import type { Pool } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import { linkSecondsMax } from '../domain/limits.ts'
import { limitCaller, limitWallet } from '../gateway/rate-limit.ts'
import type { SignInLinks } from '../gateway/sign-in-link.ts'
import type { Clock } from '../gateway/ports.ts'
import { LinkParams, LinkReply } from '../schemas/auth.ts'
import { isLoopback } from './context.ts'
import { sessionCookie, setCookie } from './cookies.ts'
import { route, type Route } from './route.ts'

export type LinkDeps = {
  readonly pool: Pool
  readonly clock: Clock
  readonly publicUrl: string
  /** Where an operator goes after signing in; others go to our own pages. */
  readonly temporalUiUrl: string | undefined
  /** Undefined: no such routes. */
  readonly links: SignInLinks | undefined
}

export function createLinkRoutes(deps: LinkDeps): Route[] {
  return deps.links ? [openRoute(deps, deps.links), useRoute(deps, deps.links)] : []
}

function openRoute({ pool, publicUrl }: LinkDeps, links: SignInLinks): Route {
  return route({
    method: 'post',
    path: '/auth/link',
    family: 'wallet',
    summary: 'A one-time address that signs a browser in (development).',
    guard: { kind: 'wallet', permission: '*:*' },
    answersSecret: true,
    responses: { 200: LinkReply },
    async handle({ principal, caller }) {
      onlyLoopback(caller)
      await limitWallet(pool, principal.wallet)
      const url = `${publicUrl}/auth/link/${await links.open(principal)}`
      return { status: 200, body: { url, expiresIn: linkSecondsMax } }
    },
  })
}

function useRoute({ pool, clock, temporalUiUrl }: LinkDeps, links: SignInLinks): Route {
  return route({
    method: 'get',
    path: '/auth/link/:code',
    family: 'wallet',
    summary: 'Signs the browser in, once.',
    once: true,
    guard: { kind: 'public', because: 'The code is the credential.' },
    params: LinkParams,
    responses: { 302: null },
    async handle({ params, request, caller }) {
      onlyLoopback(caller)
      onlyTyped(request)
      await limitCaller(pool, caller)
      const { token, expiresAt, isOperator } = await links.use(params.code)
      const seconds = Math.floor((expiresAt.getTime() - clock().getTime()) / 1000)
      const location = isOperator ? (temporalUiUrl ?? '/') : '/'
      return { status: 302, headers: { 'set-cookie': setCookie(sessionCookie, token, seconds), location } }
    },
  })
}

function onlyLoopback(caller: string | undefined): void {
  if (!isLoopback(caller)) throw new GatewayError('route-unknown', 'There is nothing at this address.')
}

// Another page must not sign its visitor in as somebody else; addresses that people open themselves say `none`.
function onlyTyped(request: Request): void {
  const site = request.headers['sec-fetch-site']
  if (site === undefined || site === 'none' || site === 'same-origin') return
  throw new GatewayError('origin-refused', 'Open this address yourself.')
}
