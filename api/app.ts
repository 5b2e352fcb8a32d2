// Mounts routes on Express 5. For each request, in this order: ids, Host and Origin, method, credential, permission,
// parameters, body, handler, checked reply. Nothing reaches a handler that its schemas did not pass.
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import type { z } from 'zod'
import { GatewayError } from '../domain/errors.ts'
import { bodyBytesMax } from '../domain/limits.ts'
import { permits } from '../domain/permission.ts'
import type { Principal } from '../domain/principal.ts'
import type { Credentials } from '../gateway/authenticate.ts'
import type { Idempotency } from '../gateway/idempotency.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { About } from '../telemetry/tracing.ts'
import { hasBody, readJsonBody } from './body.ts'
import { callerOf, checkDoor, idsOf, type DoorFacts, type RequestIds } from './context.ts'
import { readCookie, sessionCookie } from './cookies.ts'
import { underKey } from './idempotency.ts'
import { present } from './presenters.ts'
import { checkRoutes, type Family, type Reply, type Route } from './route.ts'

export type AppDeps = {
  readonly routes: readonly Route[]
  readonly door: DoorFacts
  /** Throws a `credential-…` GatewayError for anything but a good credential. */
  readonly authenticate: (credentials: Credentials) => Promise<Principal>
  /** Keeps replies of mutating routes under the callers' keys. */
  readonly idempotency: Idempotency
  /** Development and tests check replies against their schema. */
  readonly checkReplies: boolean
  /** Runs the request inside a span; the identity when tracing is off. */
  readonly trace: <T>(name: string, ids: RequestIds, work: (about: About) => Promise<T>) => Promise<T>
  readonly log: Logger
  readonly metrics: Metrics
}

/** Builds the application; the caller listens. Throws when a route is not fit to be served. */
export function createApp(deps: AppDeps): Express {
  checkRoutes(deps.routes)
  const app = express()
  app.disable('x-powered-by')
  app.set('etag', false)
  app.set('query parser', 'simple')
  const paths = new Map<string, Route[]>()
  for (const route of deps.routes) paths.set(route.path, [...(paths.get(route.path) ?? []), route])
  for (const [path, routes] of paths) {
    app.all(path, (request, response) => servePath(deps, routes, { request, response }))
  }
  app.use((request: Request, response: Response) =>
    serve({ deps, family: familyOf(request.path), request, response, cors: false }, () => {
      throw new GatewayError('route-unknown', 'There is nothing at this address.')
    }),
  )
  // Express itself fails only on paths that it cannot decode.
  // oxlint-disable-next-line max-params -- Express knows a handler of errors by its four parameters
  app.use((_error: unknown, request: Request, response: Response, _next: NextFunction) =>
    serve({ deps, family: familyOf(request.path), request, response, cors: false }, () => {
      throw new GatewayError('request-malformed', 'The address cannot be decoded.')
    }),
  )
  return app
}

type Exchange = { readonly request: Request; readonly response: Response }

type Serving = Exchange & {
  readonly deps: AppDeps
  readonly family: Family
  readonly cors: boolean
  readonly label?: string
}

// All routes of one path: the method picks one; another method is 405 and never executed.
async function servePath(deps: AppDeps, routes: readonly Route[], { request, response }: Exchange): Promise<void> {
  const method = request.method.toLowerCase()
  const route = routes.find((candidate) => methodsOf(candidate).includes(method))
  const cors = routes.some((candidate) => candidate.cors === 'temporal-ui')
  const family = route?.family ?? routes[0]?.family ?? 'wallet'
  const serving: Serving = {
    deps,
    family,
    request,
    response,
    cors,
    // Methods that are not served share one label: series of the metrics are few, whatever is sent.
    label: `${route ? method.toUpperCase() : 'other'} ${routes[0]?.path ?? ''}`,
  }
  await serve(serving, async (ids, about) => {
    if (cors && method === 'options') return preflight(request)
    if (!route) {
      response.setHeader('allow', routes.flatMap(methodsOf).join(', ').toUpperCase())
      throw new GatewayError('method-not-allowed', 'The method is not allowed here.')
    }
    return handle(deps, { route, request, response, ids, about })
  })
}

// RFC 9110 §9.3.2: HEAD is GET without the content, which Node leaves out by itself.
function methodsOf({ method, once }: Route): readonly string[] {
  return method === 'get' && once !== true ? ['get', 'head'] : [method]
}

function preflight(request: Request): Reply {
  return {
    status: 204,
    headers: {
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': request.headers['access-control-request-headers'] ?? 'content-type',
      'access-control-max-age': '600',
    },
  }
}

async function handle(
  deps: AppDeps,
  call: { route: Route; request: Request; response: Response; ids: RequestIds; about: About },
): Promise<Reply> {
  const { route, request, response, ids } = call
  const principal = await admit(deps, route, request)
  if (principal) call.about(sessionFacts(principal))
  checkAddress(request)
  const params = parse(route.params, request.params, 'parameter')
  const query = parse(route.query, request.query, 'query')
  const bytesMax = route.bodyBytesMax ?? bodyBytesMax
  // Read where nothing is wanted of it as well: what a client sends is bounded and JSON on every mutating route.
  const raw = route.method === 'get' ? undefined : await readJsonBody(request, bytesMax)
  const body = parse(route.body, raw === undefined ? {} : raw, 'body')
  const left = new AbortController()
  response.once('close', () => left.abort())
  const caller = callerOf(request, deps.door)
  const input = { params, query, body, request, ids, caller, left: left.signal, principal }
  const reply = await underKey(deps.idempotency, { route, request, principal, caller, raw }, () => route.handle(input))
  if (deps.checkReplies && 'status' in reply) checkReply(route, reply.status, reply.body)
  return reply
}

// The session tree goes with the request's span, as with those of what it leads to.
function sessionFacts({ sessionIds }: Principal): Record<string, string> {
  return Object.fromEntries(Object.entries(sessionIds).map(([name, id]) => [`gatehouse.${name}`, id]))
}

async function admit(deps: AppDeps, route: Route, request: Request): Promise<Principal | null> {
  if (route.guard.kind === 'public') return null
  const principal = await deps.authenticate({
    ...credentialsOf(route, request),
    remoteAddress: callerOf(request, deps.door),
  })
  const { permission } = route.guard
  const confined = principal.serverId !== undefined && !('serverScoped' in route.guard)
  if (!permits(principal.permissions, permission) || confined) {
    throw new GatewayError('permission-missing', `The credential lacks ${permission}.`, { details: { permission } })
  }
  if (route.guard.kind === 'operator' && !principal.roles.includes('operator')) {
    throw new GatewayError('permission-missing', 'Only an operator may do this.', { details: { permission } })
  }
  return principal
}

// Browsers send a cookie whoever asks them to; only our own pages may change something with it. Their `Origin` was
// checked at the door, so here it must only be there.
function credentialsOf(route: Route, request: Request): Omit<Credentials, 'remoteAddress'> {
  const authorizationHeaders = rawHeaders(request, 'authorization')
  const cookie = route.cookie === true ? readCookie(request, sessionCookie) : undefined
  if (cookie !== undefined && authorizationHeaders.length === 0 && request.headers.origin === undefined) {
    if (route.method !== 'get') throw new GatewayError('origin-refused', 'A cookie needs an Origin beside it.')
  }
  return { authorizationHeaders, cookie }
}

// No id and no query has a NUL, and Postgres has no text with one.
function checkAddress(request: Request): void {
  const values = [...Object.values(request.params), ...Object.values(request.query)].flat()
  if (values.some((value) => typeof value === 'string' && value.includes('\0')))
    throw new GatewayError('request-malformed', 'The address holds a NUL.')
}

function parse(schema: z.ZodType | undefined, value: unknown, where: string): unknown {
  if (!schema) return undefined
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const field = issue?.path.join('.') ?? ''
  const text = `The ${where} is not valid${field === '' ? '' : ` at ${field}`}: ${issue?.message ?? 'unknown fault'}.`
  throw new GatewayError('request-invalid', text, { details: { field } })
}

function checkReply(route: Route, status: number, body: unknown): void {
  const schema = route.responses[status]
  if (schema === undefined) throw new Error(`${route.method} ${route.path} answered the undeclared status ${status}.`)
  if (schema === null || typeof schema === 'string') return
  const checked = schema.safeParse(JSON.parse(JSON.stringify(body)))
  if (!checked.success)
    throw new Error(`${route.method} ${route.path} answered outside its schema: ${checked.error.message}`)
}

// The frame around every request: ids out, door checks, reply or refusal, one log line, one metric.
async function serve(serving: Serving, work: (ids: RequestIds, about: About) => Promise<Reply> | Reply): Promise<void> {
  const { deps, request, response } = serving
  const startedAt = performance.now()
  const ids = idsOf(request)
  response.setHeader('x-request-id', ids.requestId)
  response.setHeader('x-trace-id', ids.traceId)
  response.setHeader('x-span-id', ids.spanId)
  response.setHeader('cache-control', 'no-store')
  response.setHeader('x-content-type-options', 'nosniff')
  try {
    checkDoor(request, deps.door, serving.cors)
    if (serving.cors) allowTemporalUi(deps.door, response)
    const reply = await deps.trace(serving.label ?? 'unknown route', ids, async (about) => work(ids, about))
    if ('stream' in reply) await (request.method === 'HEAD' ? headOfStream(response) : reply.stream(response))
    else send(serving, reply)
  } catch (thrown) {
    refuse(serving, thrown, ids)
  } finally {
    const seconds = (performance.now() - startedAt) / 1000
    deps.metrics.observe('http_request', seconds, {
      route: serving.label ?? 'unknown',
      status: String(response.statusCode),
    })
  }
}

function allowTemporalUi(door: DoorFacts, response: Response): void {
  if (door.temporalUiOrigin === undefined) return
  response.setHeader('access-control-allow-origin', door.temporalUiOrigin)
  response.setHeader('access-control-allow-credentials', 'true')
  response.setHeader('vary', 'origin')
}

// Nothing is followed for somebody who will not read.
async function headOfStream(response: Response): Promise<void> {
  response.status(200).setHeader('content-type', 'text/event-stream; charset=utf-8').end()
}

function send({ request, response }: Exchange, reply: Extract<Reply, { status: number }>): void {
  if (!request.complete && hasBody(request)) response.setHeader('connection', 'close') // it is not read
  response.status(reply.status)
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value)
  if (reply.body === undefined) response.end()
  else if (typeof reply.body === 'string') response.send(reply.body)
  else response.json(reply.body)
}

function refuse({ deps, family, request, response }: Serving, thrown: unknown, ids: RequestIds): void {
  const presented = present(family, thrown, ids.requestId)
  const facts = { requestId: ids.requestId, traceId: ids.traceId, code: presented.code, method: request.method }
  if (presented.code === 'internal' || presented.code === 'database-unavailable')
    deps.log.error({ ...facts, err: presented.error }, 'a request met a bug')
  else deps.log.debug({ ...facts, reason: presented.error.message }, 'refused')
  if (response.headersSent) {
    response.destroy()
    return
  }
  if (!request.complete) response.setHeader('connection', 'close') // the rest of a refused body is not read
  for (const [name, value] of Object.entries(presented.headers)) response.setHeader(name, value)
  response.status(presented.status).json(presented.body)
}

function familyOf(path: string): Family {
  return path.startsWith('/api/v1/') ? 'control' : 'wallet'
}

/** Every value of a header as it came; Node joins or drops duplicates in `headers`. */
function rawHeaders(request: Request, name: string): string[] {
  return request.rawHeaders.flatMap((value, index, all) =>
    index % 2 === 0 && value.toLowerCase() === name ? [all[index + 1] ?? ''] : [],
  )
}
