// Chat: a POST opens, joins or replays a turn and streams it; a viewer follows from any point; a cancel stops it. A client
// that leaves stops nothing.
import type { Request } from 'express'
import type { Durable } from '../clients/durable.ts'
import type { Agent } from '../config/agents.ts'
import { markDelivered, readSessionTurn } from '../db/turn.ts'
import { GatewayError } from '../domain/errors.ts'
import { chatBodyBytesMax, idempotencyKeyCharsMax, imageBytesMax } from '../domain/limits.ts'
import type { TokenBus } from '../gateway/ports.ts'
import { openTurn, type TurnDoorDeps } from '../gateway/turn-door.ts'
import * as shapes from '../schemas/chat.ts'
import type { Block } from '../schemas/model.ts'
import type { Events } from '../telemetry/events.ts'
import { turnStreamId } from '../workflows/contract.ts'
import { route, type Route } from './route.ts'
import { ownSession } from './sessions.ts'
import { viewStream, type WireEvent } from './sse.ts'

export type ChatDeps = {
  readonly door: TurnDoorDeps
  readonly agents: ReadonlyMap<string, Agent>
  readonly bus: TokenBus
  readonly durable: Pick<Durable, 'cancelTurn'>
  readonly events: Events
}

export function createChatRoutes(deps: ChatDeps): Route[] {
  return [chatRoute(deps), viewRoute(deps), cancelRoute(deps)]
}

function chatRoute(deps: ChatDeps): Route {
  const { pool } = deps.door
  return route({
    method: 'post',
    path: '/agents/:id/sessions/:sid/chat',
    family: 'wallet',
    summary: 'Says something to an agent and streams its answer.',
    guard: { kind: 'wallet', permission: 'chat:send' },
    params: shapes.SessionParams,
    body: shapes.ChatRequest,
    bodyBytesMax: chatBodyBytesMax,
    owns: ['sid'],
    responses: { 200: 'events' },
    async handle({ params, body, principal, request }) {
      const session = await ownSession(pool, principal, params)
      const agent = deps.agents.get(session.agentId)
      if (!agent) throw new GatewayError('not-found', 'There is no such agent.')
      const idempotencyKey = keyOf(request)
      const opened = await openTurn(deps.door, {
        principal,
        agent,
        session,
        content: contentOf(body),
        model: body.model,
        idempotencyKey,
      })
      const { turnId, dedupe } = opened
      return {
        stream: (response) =>
          viewStream({
            bus: deps.bus,
            streamId: turnStreamId(turnId),
            afterSeq: 0n,
            response,
            headers: { 'x-turn-id': turnId, 'x-dedupe': dedupe },
            greeting: {
              type: 'status',
              data: { code: dedupe === 'joined' ? 'duplicate_joined' : 'turn_accepted', turnId },
            },
            events: deps.events,
            ending: () => endingOf(deps, session.id, turnId),
            onDelivered: () => markDelivered(pool, turnId),
          }),
      }
    },
  })
}

function viewRoute(deps: ChatDeps): Route {
  const { pool } = deps.door
  return route({
    method: 'get',
    path: '/agents/:id/sessions/:sid/turns/:turnId/stream',
    family: 'wallet',
    summary: 'Follows a turn from any point: Last-Event-ID or ?after=.',
    guard: { kind: 'wallet', permission: 'chat:read' },
    params: shapes.TurnParams,
    query: shapes.StreamQuery,
    owns: ['sid', 'turnId'],
    responses: { 200: 'events' },
    async handle({ params, query, principal, request }) {
      const session = await ownSession(pool, principal, params)
      const turn = await readSessionTurn(pool, { sessionId: session.id, turnId: params.turnId })
      if (!turn) throw new GatewayError('not-found', 'There is no such turn.')
      const resumed = request.get('last-event-id') ?? query.after ?? '0'
      if (!/^\d{1,18}$/.test(resumed)) throw new GatewayError('request-invalid', 'Last-Event-ID must be a number.')
      return {
        stream: (response) =>
          viewStream({
            bus: deps.bus,
            streamId: turnStreamId(params.turnId),
            afterSeq: BigInt(resumed),
            response,
            headers: { 'x-turn-id': params.turnId },
            events: deps.events,
            ending: () => endingOf(deps, session.id, params.turnId),
          }),
      }
    },
  })
}

function cancelRoute(deps: ChatDeps): Route {
  const { pool } = deps.door
  return route({
    method: 'post',
    path: '/agents/:id/sessions/:sid/turns/:turnId/cancel',
    family: 'wallet',
    summary: 'Stops a running turn; what was said until then is kept and billed.',
    guard: { kind: 'wallet', permission: 'chat:send' },
    params: shapes.TurnParams,
    owns: ['sid', 'turnId'],
    responses: { 202: shapes.Cancelled },
    async handle({ params, principal }) {
      const session = await ownSession(pool, principal, params)
      const turn = await readSessionTurn(pool, { sessionId: session.id, turnId: params.turnId })
      if (!turn) throw new GatewayError('not-found', 'There is no such turn.')
      if (turn.state === 'ended') throw new GatewayError('turn-conflict', 'The turn has ended.')
      await deps.durable.cancelTurn(session.id, params.turnId)
      return { status: 202, body: { turnId: params.turnId, status: 'cancelling' } }
    },
  })
}

async function endingOf({ door }: ChatDeps, sessionId: string, turnId: string): Promise<WireEvent | null> {
  const turn = await readSessionTurn(door.pool, { sessionId, turnId })
  if (!turn) return { type: 'error', data: { code: 'not-found', message: 'The session was deleted.' } }
  if (turn.state !== 'ended' || !turn.outcome) return null
  const { status, ...data } = turn.outcome
  return { type: status === 'done' ? 'done' : 'error', data }
}

function keyOf(request: Request): string | undefined {
  const key = request.get('idempotency-key') ?? request.get('x-idempotency-key')
  if (key === undefined) return undefined
  if (key.length === 0 || key.length > idempotencyKeyCharsMax || !/^[\x21-\x7e]+$/.test(key)) {
    throw new GatewayError(
      'request-invalid',
      `Idempotency-Key must be 1 to ${idempotencyKeyCharsMax} visible characters.`,
      { details: { field: 'Idempotency-Key' } },
    )
  }
  return key
}

type Said = {
  readonly message: string
  readonly images: readonly { readonly mediaType: 'image/jpeg' | 'image/png' | 'image/webp'; readonly data: string }[]
}

function contentOf({ message, images }: Said): Block[] {
  const blocks: Block[] = images.map(({ mediaType, data }) => {
    const bytes = Buffer.from(data, 'base64')
    if (bytes.length > imageBytesMax || sniff(bytes) !== mediaType) {
      throw new GatewayError('request-invalid', 'An image is too large or not of its declared type.', {
        details: { field: 'images' },
      })
    }
    return { type: 'image', mediaType, data }
  })
  return [...blocks, { type: 'text', text: message }]
}

// The type by content, not by word: the first bytes of each format.
function sniff(bytes: Buffer): string | undefined {
  if (bytes.subarray(0, 8).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]))) return 'image/png'
  if (bytes.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff]))) return 'image/jpeg'
  if (bytes.toString('latin1', 0, 4) === 'RIFF' && bytes.toString('latin1', 8, 12) === 'WEBP') return 'image/webp'
  return undefined
}
