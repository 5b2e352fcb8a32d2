// A route is data: where it answers, who may call it, which shapes go in and out, and one handler. Nothing here is
// mounted; `app.ts` does that, and the OpenAPI document is printed from the same objects. A route without a declared
// guard does not compile.
import type { Request, Response } from 'express'
import type { z } from 'zod'
import type { RequestIds } from './context.ts'
import { isPermission } from '../domain/permission.ts'
import type { Principal } from '../domain/principal.ts'

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

/** Error dialect of a route family (contracts 1.3). */
export type Family = 'wallet' | 'control' | 'edge' | 'plain'

/**
 * Who may call. `public` states why nobody needs to be known. `wallet` needs the permission; `operator` also the role.
 * A wallet token confined to one tool server is refused unless the route says `serverScoped`.
 */
export type Guard =
  | { readonly kind: 'public'; readonly because: string }
  | { readonly kind: 'wallet'; readonly permission: string; readonly serverScoped?: true }
  | { readonly kind: 'operator'; readonly permission: string }

export type Reply =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
  /** The handler owns the socket from here (server-sent events). Anything it throws before headers is presented. */
  | { readonly stream: (response: Response) => Promise<void> }

export type Input<P, Q, B> = {
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly request: Request
  readonly ids: RequestIds
  /** Network address of the caller. */
  readonly caller: string | undefined
  /** Aborts when the client leaves. */
  readonly left: AbortSignal
}

export type RouteSpec<G extends Guard, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> = {
  readonly method: Method
  /** Express 5 path, such as `/agents/:id/sessions/:sid`. */
  readonly path: string
  readonly family: Family
  readonly summary: string
  readonly guard: G
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  /** Headers that the handler itself reads, each of them optional, with the schema of its text. */
  readonly headers?: Readonly<Record<string, z.ZodType>>
  /** Bound of the body; the family default is `bodyBytesMax`. */
  readonly bodyBytesMax?: number
  /** Success statuses with the schema of their body; `null` for none, `'events'` and `'ndjson'` for streams. */
  readonly responses: Readonly<Record<number, z.ZodType | null | 'events' | 'ndjson' | 'text'>>
  /** The Temporal UI's page may call it, with its cookie (CORS with credentials). */
  readonly cors?: 'temporal-ui'
  /** The credential may come as the dashboard's cookie. */
  readonly cookie?: true
  /** A GET that changes something: it has no HEAD beside it, which must be safe (RFC 9110 §9.2.1). */
  readonly once?: true
  /** Without it a mutating route keeps its replies under `Idempotency-Key`. `own`: the route obeys the key itself;
   * `none`: it changes nothing, so that the same request again is the same answer anyway. */
  readonly idempotency?: 'own' | 'none'
  /** The reply is a credential. */
  readonly answersSecret?: true
  /** Parameters that name an object of a wallet; the isolation test walks over them. */
  readonly owns?: readonly string[]
  readonly handle: (
    input: Input<z.output<P>, z.output<Q>, z.output<B>> & {
      readonly principal: G extends { kind: 'public' } ? Principal | null : Principal
    },
  ) => Promise<Reply>
}

/** A route with its types erased, as `app.ts` mounts it. */
export type Route = RouteSpec<Guard, z.ZodType, z.ZodType, z.ZodType>

/** Declares a route. Identity at run time; the types tie schemas, guard and handler together. */
export function route<
  const G extends Guard,
  P extends z.ZodType = z.ZodUndefined,
  Q extends z.ZodType = z.ZodUndefined,
  B extends z.ZodType = z.ZodUndefined,
>(spec: RouteSpec<G, P, Q, B>): Route {
  return spec as unknown as Route
}

const guardKinds: readonly string[] = ['public', 'wallet', 'operator']

/** Refuses to start with a route without a guard, with a permission that no credential can name, or declared twice. */
export function checkRoutes(routes: readonly Route[]): void {
  const seen = new Set<string>()
  for (const { method, path, guard } of routes) {
    const name = `${method} ${path}`
    if (seen.has(name)) throw new Error(`${name} is declared twice.`)
    seen.add(name)
    const { kind } = (guard as Guard | undefined) ?? { kind: 'none' }
    if (!guardKinds.includes(kind)) throw new Error(`${name} has no guard.`)
    if (guard.kind === 'public' ? guard.because === '' : !isPermission(guard.permission))
      throw new Error(`${name} has a guard that says nothing.`)
  }
}
