// A chat turn: posted, watched, cancelled. Who leaves does not stop the turn; only a chat POST's own socket can say that
// the answer arrived.
import type { Request, Response } from 'express'
import type { Durable } from '../clients/durable.ts'
import type { Pool } from '../db/pool.ts'
import { markDelivered, readSessionTurn } from '../db/turn.ts'
import { GatewayError } from '../domain/errors.ts'
import { chatBodyBytesMax, viewersPerStreamMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import type { AgentCatalogue } from '../gateway/agents.ts'
import { contentOf } from '../gateway/chat-content.ts'
import type { Epochs, TokenBus } from '../gateway/ports.ts'
import { scopeOfRequest } from '../gateway/runtime-scopes.ts'
import { ownSession } from '../gateway/sessions.ts'
import { openTurn, type OpenedTurn, type TurnDoorDeps } from '../gateway/turn-door.ts'
import { viewTurn } from '../gateway/turn-view.ts'
import { wholeResult } from '../gateway/whole-result.ts'
import {
  AfterSeq,
  CancelAccepted,
  ChatRequest,
  ResultParams,
  StreamQuery,
  TurnParams,
  WholeResult,
} from '../schemas/chat.ts'
import { ScopeQuery } from '../schemas/runtime-scope.ts'
import { SessionParams } from '../schemas/session.ts'
import type { Events } from '../telemetry/events.ts'
import { meterHeaders } from './meter-headers.ts'
import { keyHeaders, keyOf } from './idempotency.ts'
import { route, type Route } from './route.ts'
import { openEvents, type EventSocket } from './sse.ts'

export type ChatRoutesDeps = Omit<TurnDoorDeps, 'durable'> & {
  readonly pool: Pool
  readonly durable: Pick<Durable, 'submitTurn' | 'cancelTurn'>
  readonly catalogue: Pick<AgentCatalogue, 'find'>
  readonly bus: TokenBus
  readonly epochs: Pick<Epochs, 'watch'>
  readonly events: Events
}

export function createChatRoutes(deps: ChatRoutesDeps): Route[] {
  const viewers = countViewers()
  return [postRoute(deps, viewers), streamRoute(deps, viewers), cancelRoute(deps), resultRoute(deps)]
}

function postRoute(deps: ChatRoutesDeps, viewers: Viewers): Route {
  return route({
    method: 'post',
    path: '/agents/:id/sessions/:sid/chat',
    family: 'wallet',
    summary: 'Asks the agent; answers with the events of the turn.',
    guard: { kind: 'wallet', permission: 'chat:write' },
    params: SessionParams,
    query: ScopeQuery,
    owns: ['sid'],
    body: ChatRequest,
    bodyBytesMax: chatBodyBytesMax,
    idempotency: 'own',
    headers: keyHeaders,
    responses: { 200: 'events' },
    async handle({ params, query, body, principal, request, left }) {
      const idempotencyKey = keyOf(request)
      const scopeId = scopeNameOf(request, query.scopeId)
      const session = await ownSession(deps.pool, { principal, agentId: params.id, sessionId: params.sid })
      const agent = await deps.catalogue.find(principal.walletId, params.id)
      const content = contentOf(body)
      const runtimeScopeId = await scopeOfRequest(deps.pool, principal, scopeId)
      const order = { principal, agent, session, content, model: body.model, idempotencyKey, runtimeScopeId }
      const turn = await openTurn(deps, order)
      const headers = { 'x-turn-id': turn.turnId, 'x-dedupe': dedupeWords[turn.dedupe], ...meterHeaders(turn.signs) }
      const view = { sessionId: session.id, turnId: turn.turnId, after: 0n, principal, left, headers, posted: turn }
      return {
        stream: (response) => viewers.during(turn.turnId, () => stream(deps, response, view)),
      }
    },
  })
}

const dedupeWords: Readonly<Record<OpenedTurn['dedupe'], string>> = {
  first: 'new',
  joined: 'joined',
  replay: 'replayed',
}

function streamRoute(deps: ChatRoutesDeps, viewers: Viewers): Route {
  return route({
    method: 'get',
    path: '/agents/:id/sessions/:sid/turns/:turnId/stream',
    family: 'wallet',
    summary: 'The events of a turn from any place, then live.',
    guard: { kind: 'wallet', permission: 'chat:read' },
    params: TurnParams,
    query: StreamQuery,
    headers: { 'Last-Event-ID': AfterSeq },
    owns: ['sid', 'turnId'],
    responses: { 200: 'events' },
    async handle({ params, query, principal, request, left }) {
      const after = lastSeen(request) ?? query.after ?? 0n
      await ownTurn(deps.pool, principal, params)
      const order = { sessionId: params.sid, turnId: params.turnId, after, principal, left }
      const headers = { 'x-turn-id': params.turnId }
      return {
        stream: (response) => viewers.during(params.turnId, () => stream(deps, response, { ...order, headers })),
      }
    },
  })
}

function cancelRoute(deps: ChatRoutesDeps): Route {
  return route({
    method: 'post',
    path: '/agents/:id/sessions/:sid/turns/:turnId/cancel',
    family: 'wallet',
    summary: 'Asks the turn to stop; what was said until then stays and is billed.',
    guard: { kind: 'wallet', permission: 'chat:write' },
    params: TurnParams,
    owns: ['sid', 'turnId'],
    responses: { 202: CancelAccepted },
    async handle({ params, principal }) {
      const turn = await ownTurn(deps.pool, principal, params)
      if (turn.state === 'ended') throw new GatewayError('turn-conflict', 'The turn has ended.')
      await deps.durable.cancelTurn(params.sid, params.turnId).catch((cause: unknown) => {
        throw new GatewayError('durable-unavailable', 'The turn could not be told to stop.', { cause })
      })
      return { status: 202, body: { turnId: params.turnId, status: 'cancelling' } }
    },
  })
}

function resultRoute(deps: ChatRoutesDeps): Route {
  return route({
    method: 'get',
    path: '/agents/:id/sessions/:sid/turns/:turnId/results/:callId',
    family: 'wallet',
    summary: 'The whole result of a tool of which the turn shows the beginning.',
    guard: { kind: 'wallet', permission: 'chat:read' },
    params: ResultParams,
    owns: ['sid', 'turnId', 'callId'],
    responses: { 200: WholeResult },
    async handle({ params, principal }) {
      await ownTurn(deps.pool, principal, params)
      const { sid: sessionId, turnId, callId } = params
      return { status: 200, body: await wholeResult(deps, { sessionId, turnId, callId }) }
    },
  })
}

async function ownTurn(pool: Pool, principal: Principal, params: { id: string; sid: string; turnId: string }) {
  const session = await ownSession(pool, { principal, agentId: params.id, sessionId: params.sid })
  const turn = await readSessionTurn(pool, { sessionId: session.id, turnId: params.turnId })
  if (!turn) throw new GatewayError('not-found', 'There is no such turn.')
  return turn
}

type Streaming = {
  readonly sessionId: string
  readonly turnId: string
  readonly after: bigint
  readonly principal: Principal
  readonly left: AbortSignal
  readonly headers: Readonly<Record<string, string>>
  /** Present on a chat POST, whose socket may say that the answer was delivered. */
  readonly posted?: OpenedTurn
}

// Ends with the last event, when the client leaves, when it reads too slowly, or when its credential is revoked.
async function stream(deps: ChatRoutesDeps, response: Response, streaming: Streaming): Promise<void> {
  const watched = deps.epochs.watch(streaming.principal.gate)
  const signal = AbortSignal.any([streaming.left, watched.signal])
  const { headers } = streaming
  const socket = openEvents(response, { headers, onDrop: () => deps.events.streamDropped({ reason: 'slow-reader' }) })
  try {
    await pump(deps, socket, { ...streaming, left: signal })
  } finally {
    watched.release()
    socket.end()
  }
}

async function pump(deps: ChatRoutesDeps, socket: EventSocket, streaming: Streaming): Promise<void> {
  const { sessionId, turnId, after, left, posted } = streaming
  if (after === 0n && !(await socket.send([status(0n, { code: 'turn_accepted', turnId })]))) return
  if (posted?.dedupe === 'joined' && !(await socket.send([status(null, { code: 'duplicate_joined', turnId })]))) return
  for await (const events of viewTurn(deps, { sessionId, turnId, after, signal: left })) {
    const last = events.at(-1)
    const before = last?.isLast === true ? events.slice(0, -1) : events
    if (!(await socket.send(before))) return
    if (last?.isLast !== true) continue
    const delivered = await socket.finish(last)
    // Recorded before the response ends: who waits for its end and asks the same again asks anew.
    if (delivered && posted) await markDelivered(deps.pool, turnId)
  }
}

const status = (id: bigint | null, data: Readonly<Record<string, string>>) => ({ id, type: 'status', data })

// The header and its alias name one scope.
function scopeNameOf(request: Request, alias: string | undefined): string | undefined {
  const header = request.get('x-runtime-scope-id')
  if (header !== undefined && alias !== undefined && header !== alias)
    throw invalid('Two different runtime scopes were given.')
  return header ?? alias
}

function lastSeen(request: Request): bigint | undefined {
  const given = request.headers['last-event-id']
  if (given === undefined) return undefined
  const parsed = AfterSeq.safeParse(given)
  if (!parsed.success) throw invalid('Last-Event-ID is not a sequence number.')
  return parsed.data
}

const invalid = (text: string) => new GatewayError('request-invalid', text, { details: { field: 'header' } })

type Viewers = { readonly during: (turnId: string, work: () => Promise<void>) => Promise<void> }

// Sockets per turn of this process; thrown before headers, so that the refusal is a proper reply.
function countViewers(): Viewers {
  const counts = new Map<string, number>()
  return {
    async during(turnId, work) {
      const now = counts.get(turnId) ?? 0
      if (now >= viewersPerStreamMax)
        throw new GatewayError('rate-limited', 'Too many viewers of this turn.', { retryAfterMs: 5_000 })
      counts.set(turnId, now + 1)
      try {
        await work()
      } finally {
        const rest = (counts.get(turnId) ?? 1) - 1
        if (rest === 0) counts.delete(turnId)
        else counts.set(turnId, rest)
      }
    },
  }
}
