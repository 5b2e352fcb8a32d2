// `Idempotency-Key` and its alias on every mutating route. The key belongs to the wallet that asks; of somebody who is
// not known yet it belongs to the network address, and the cookies are part of what was asked. A reply that is a credential
// is answered again to the credential that asked for it.
import type { Request } from 'express'
import { GatewayError } from '../domain/errors.ts'
import type { Principal } from '../domain/principal.ts'
import type { Idempotency } from '../gateway/idempotency.ts'
import { IdempotencyKey } from '../schemas/idempotency.ts'
import type { Reply, Route } from './route.ts'

const names = ['Idempotency-Key', 'X-Idempotency-Key'] as const

/** The headers as a route declares them. */
export const keyHeaders = Object.fromEntries(names.map((name) => [name, IdempotencyKey]))

/** The key of the request, if it has one. Throws `request-invalid` for a malformed one and for two that differ. */
export function keyOf(request: Request): string | undefined {
  const given = names.flatMap((name) => request.headers[name.toLowerCase()] ?? [])
  const [key] = given
  if (key === undefined) return undefined
  if (given.some((other) => other !== key)) throw invalid('Two different idempotency keys were given.')
  if (!IdempotencyKey.safeParse(key).success) throw invalid('The idempotency key is not valid.')
  return key
}

const invalid = (text: string) => new GatewayError('request-invalid', text, { details: { field: 'header' } })

/** Whether replies of the route are kept under keys: it changes something, and has no keys of its own. */
export function keepsReplies({ method, idempotency }: Pick<Route, 'method' | 'idempotency'>): boolean {
  return method !== 'get' && idempotency === undefined
}

export type Keyed = {
  readonly route: Route
  readonly request: Request
  readonly principal: Principal | null
  readonly caller: string | undefined
  /** The body as it came. */
  readonly raw: unknown
}

/** Answers what is kept under the request's key, or what `work` answers. */
export async function underKey(
  { once }: Idempotency,
  { route, request, principal, caller, raw }: Keyed,
  work: () => Promise<Reply>,
): Promise<Reply> {
  const key = keepsReplies(route) ? keyOf(request) : undefined
  if (key === undefined) return work()
  const { params, query } = request
  const cookies = principal === null ? (request.headers.cookie ?? null) : null
  const isSecret = route.answersSecret === true
  // What one credential was given may be more than another of the same wallet would get.
  const credential = isSecret ? (principal?.tokenId ?? null) : null
  const order = {
    owner: principal === null ? `caller:${caller ?? 'unknown'}` : `wallet:${principal.wallet}`,
    route: `${route.method} ${route.path}`,
    key,
    asked: { params, query, body: raw ?? null, cookies, credential },
    isSecret,
  }
  const { kept, status, headers, body } = await once(order, async () => {
    const reply = await work()
    if ('stream' in reply) throw new Error(`${order.route} streams and has no keys of its own.`)
    return { body: undefined, ...reply }
  })
  return { status, body, headers: { ...headers, ...(kept ? { 'idempotent-replayed': 'true' } : {}) } }
}
