// Chat sessions: open, list, read, delete.
import {
  listSessions,
  readCurrentTurn,
  readSessionMessages,
  type SessionRow,
  type TranscriptRow,
} from '../db/chat-session.ts'
import { historyMessagesMax } from '../domain/limits.ts'
import type { AgentCatalogue } from '../gateway/agents.ts'
import { openSession, ownSession, removeSession, type SessionsDeps } from '../gateway/sessions.ts'
import type { Vault } from '../gateway/transcripts.ts'
import { Page } from '../schemas/common.ts'
import { Blocks } from '../schemas/model.ts'
import * as shapes from '../schemas/session.ts'
import { route, type Route } from './route.ts'

export type SessionRoutesDeps = SessionsDeps & { readonly catalogue: Pick<AgentCatalogue, 'find'> }

const reads = { kind: 'wallet', permission: 'chat:read' } as const
const writes = { kind: 'wallet', permission: 'chat:write' } as const

export function createSessionRoutes(deps: SessionRoutesDeps): Route[] {
  return [createRoute(deps), ...listRoutes(deps), readRoute(deps), deleteRoute(deps)]
}

function createRoute(deps: SessionRoutesDeps): Route {
  return route({
    method: 'post',
    path: '/agents/:id/sessions',
    family: 'wallet',
    summary: 'Opens a session with an agent.',
    guard: writes,
    params: shapes.SessionsParams,
    body: shapes.CreateSession,
    responses: { 200: shapes.CreatedSession },
    async handle({ params, body, principal }) {
      const agent = await deps.catalogue.find(principal.walletId, params.id)
      const session = await openSession(deps, { principal, agent, model: body.model, engine: body.executionEngine })
      const { id, agentId, model, createdAt, engine } = session
      return { status: 200, body: { id, agentId, model, createdAt: createdAt.toISOString(), executionEngine: engine } }
    },
  })
}

function listRoutes({ pool, catalogue, transcripts }: SessionRoutesDeps): Route[] {
  const list = async (walletId: bigint, agentId: string | null, page: Page) => {
    const rows = await listSessions(pool, { walletId, agentId, ...page })
    const vaults = await transcripts.ofSessions(rows.map(({ id }) => id))
    return { status: 200, body: { sessions: rows.map((row) => summaryOf(row, vaults.get(row.id))) } }
  }
  return [
    route({
      method: 'get',
      path: '/agents/:id/sessions',
      family: 'wallet',
      summary: "The caller's sessions with an agent.",
      guard: reads,
      params: shapes.SessionsParams,
      query: Page,
      responses: { 200: shapes.SessionList },
      handle: async ({ params, query, principal }) =>
        list(principal.walletId, (await catalogue.find(principal.walletId, params.id)).id, query),
    }),
    route({
      method: 'get',
      path: '/wallet/sessions',
      family: 'wallet',
      summary: "The caller's sessions.",
      guard: reads,
      query: Page,
      responses: { 200: shapes.SessionList },
      handle: async ({ query, principal }) => list(principal.walletId, null, query),
    }),
  ]
}

function readRoute({ pool, transcripts }: SessionRoutesDeps): Route {
  return route({
    method: 'get',
    path: '/agents/:id/sessions/:sid',
    family: 'wallet',
    summary: 'A session with its newest messages.',
    guard: reads,
    params: shapes.SessionParams,
    owns: ['sid'],
    responses: { 200: shapes.SessionDetail },
    async handle({ params, principal }) {
      const session = await ownSession(pool, { principal, agentId: params.id, sessionId: params.sid })
      const [vaults, messages, current] = await Promise.all([
        transcripts.ofSessions([session.id]),
        readSessionMessages(pool, session.id, historyMessagesMax),
        readCurrentTurn(pool, session.id),
      ])
      const vault = vaults.get(session.id)
      const body = { ...summaryOf(session, vault), messages: messages.flatMap((row) => toMessage(row, vault)) }
      return { status: 200, body: current ? { ...body, currentTurn: current } : body }
    },
  })
}

function deleteRoute(deps: SessionRoutesDeps): Route {
  return route({
    method: 'delete',
    path: '/agents/:id/sessions/:sid',
    family: 'wallet',
    summary: 'Ends a session and purges its content.',
    guard: writes,
    params: shapes.SessionParams,
    owns: ['sid'],
    responses: { 200: shapes.DeletedSession },
    async handle({ params, principal }) {
      await removeSession(deps, { principal, agentId: params.id, sessionId: params.sid })
      return { status: 200, body: { success: true } }
    },
  })
}

function summaryOf(row: SessionRow, vault: Vault | undefined): shapes.SessionSummary {
  return {
    id: row.id,
    agentId: row.agentId,
    model: row.model,
    createdAt: row.createdAt.toISOString(),
    lastActiveAt: row.lastActiveAt.toISOString(),
    lastMessageAt: row.lastMessageAt?.toISOString() ?? null,
    messageCount: row.messageCount,
    preview: vault ? vault.openPreview(row) : row.preview,
    persisted: true,
  }
}

// Words only; tool calls and results are read on the turn's stream.
function toMessage(row: TranscriptRow, vault: Vault | undefined): shapes.SessionDetail['messages'] {
  if (row.kind === 'tool') return []
  const blocks = Blocks.parse(vault ? vault.openMessage(row) : row.content)
  const content = blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('')
  return content === '' ? [] : [{ role: row.kind, content, timestamp: row.createdAt.toISOString() }]
}
