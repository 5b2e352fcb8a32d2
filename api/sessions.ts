// Chat sessions: create, list, read, delete. Another wallet's session does not exist.
import { randomBytes, randomUUID } from 'node:crypto'
import type { Durable } from '../clients/durable.ts'
import type { Agent } from '../config/agents.ts'
import type { PriceTable } from '../config/prices.ts'
import {
  deleteSession,
  insertSession,
  listSessions,
  readCurrentTurn,
  readSession,
  readSessionMessages,
  type SessionRow,
} from '../db/chat-session.ts'
import { insertNode } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError } from '../domain/errors.ts'
import { historyMessagesMax, sessionsPerWalletMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import * as shapes from '../schemas/chat.ts'
import { Page } from '../schemas/common.ts'
import { Blocks, type Block } from '../schemas/model.ts'
import type { Events } from '../telemetry/events.ts'
import { route, type Reply, type Route } from './route.ts'

export type SessionDeps = {
  readonly pool: Pool
  readonly agents: ReadonlyMap<string, Agent>
  readonly prices: PriceTable
  readonly resolveModel: (table: PriceTable, name: string) => string | undefined
  readonly durable: Pick<Durable, 'closeSession'>
  readonly events: Events
}

const engine = 'claude'

const read = { kind: 'wallet', permission: 'chat:read' } as const

export function createSessionRoutes(deps: SessionDeps): Route[] {
  return [...collectionRoutes(deps), ...singleRoutes(deps)]
}

function collectionRoutes(deps: SessionDeps): Route[] {
  return [
    route({
      method: 'post',
      path: '/agents/:id/sessions',
      family: 'wallet',
      summary: 'Opens a session with an agent.',
      guard: { kind: 'wallet', permission: 'chat:create' },
      params: shapes.AgentParams,
      body: shapes.CreateSession,
      responses: { 201: shapes.CreatedSession },
      handle: ({ params, body, principal }) => create(deps, { agentId: params.id, principal, ...body }),
    }),
    route({
      method: 'get',
      path: '/agents/:id/sessions',
      family: 'wallet',
      summary: 'Sessions of the wallet with an agent.',
      guard: read,
      params: shapes.AgentParams,
      query: Page,
      responses: { 200: shapes.SessionList },
      handle: ({ params, query, principal }) =>
        list(deps, { walletId: principal.walletId, agentId: params.id, ...query }),
    }),
    route({
      method: 'get',
      path: '/wallet/sessions',
      family: 'wallet',
      summary: 'All sessions of the wallet.',
      guard: read,
      query: Page,
      responses: { 200: shapes.SessionList },
      handle: ({ query, principal }) => list(deps, { walletId: principal.walletId, agentId: null, ...query }),
    }),
  ]
}

function singleRoutes(deps: SessionDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/agents/:id/sessions/:sid',
      family: 'wallet',
      summary: 'A session with its messages.',
      guard: read,
      params: shapes.SessionParams,
      owns: ['sid'],
      responses: { 200: shapes.SessionDetail },
      async handle({ params, principal }) {
        const session = await ownSession(deps.pool, principal, params)
        const messages = await readSessionMessages(deps.pool, session.id, historyMessagesMax)
        const currentTurn = (await readCurrentTurn(deps.pool, session.id)) ?? null
        return { status: 200, body: { ...rowOf(session), messages: messages.map(messageOf), currentTurn } }
      },
    }),
    route({
      method: 'delete',
      path: '/agents/:id/sessions/:sid',
      family: 'wallet',
      summary: 'Ends a session and purges what was said.',
      guard: { kind: 'wallet', permission: 'chat:delete' },
      params: shapes.SessionParams,
      owns: ['sid'],
      responses: { 200: shapes.Deleted },
      async handle({ params, principal }) {
        const session = await ownSession(deps.pool, principal, params)
        await deps.durable.closeSession(session.id)
        await inTransaction(deps.pool, (client) => deleteSession(client, session.id))
        deps.events.sessionDeleted({ sessionId: session.id })
        return { status: 200, body: { success: true } }
      },
    }),
  ]
}

/** The caller's own session, or 404. */
export async function ownSession(
  pool: Pool,
  principal: Principal,
  params: { id: string; sid: string },
): Promise<SessionRow> {
  const session = await readSession(pool, { id: params.sid, walletId: principal.walletId, agentId: params.id })
  if (!session) throw new GatewayError('not-found', 'There is no such session.')
  return session
}

type Creating = {
  readonly agentId: string
  readonly principal: Principal
  readonly model?: string | undefined
  readonly executionEngine?: string | undefined
}

async function create(
  deps: SessionDeps,
  { agentId, principal, model: wanted, executionEngine }: Creating,
): Promise<Reply> {
  const agent = deps.agents.get(agentId)
  if (!agent) throw new GatewayError('not-found', 'There is no such agent.')
  const model = deps.resolveModel(deps.prices, wanted ?? agent.model)
  if (model === undefined)
    throw new GatewayError('model-unknown', 'The model is not known here.', {
      details: { model: wanted ?? agent.model },
    })
  if (executionEngine !== undefined && executionEngine !== engine) {
    throw new GatewayError('request-invalid', `The engine ${executionEngine} is not enabled here.`, {
      details: { field: 'executionEngine' },
    })
  }
  const session = await inTransaction(deps.pool, async (client) => {
    const { tenant, walletId, sessionIds } = principal
    const wsid = randomBytes(16).toString('hex')
    const asid = randomBytes(16).toString('hex')
    const node = { tenant, walletId, expiresAt: null }
    const id = randomUUID()
    await insertNode(client, { ...node, id: wsid, kind: 'wsid', parentId: sessionIds.usid, subject: `session:${id}` })
    await insertNode(client, { ...node, id: asid, kind: 'asid', parentId: wsid, subject: `agent:${agent.id}` })
    return insertSession(
      client,
      { id, walletId, tenant, agentId: agent.id, model, engine, wsid, asid },
      sessionsPerWalletMax,
    )
  })
  if (!session)
    throw new GatewayError('session-limit', `A wallet may have ${sessionsPerWalletMax} open sessions.`, {
      details: { sessionsMax: sessionsPerWalletMax },
    })
  deps.events.sessionOpened({ sessionId: session.id, agentId: agent.id })
  const body = {
    id: session.id,
    agentId: agent.id,
    model,
    createdAt: session.createdAt.toISOString(),
    executionEngine: engine,
  }
  return { status: 201, body }
}

async function list(
  deps: SessionDeps,
  order: { walletId: bigint; agentId: string | null; limit: number; offset: number },
): Promise<Reply> {
  const sessions = await listSessions(deps.pool, order)
  return { status: 200, body: { sessions: sessions.map(rowOf) } }
}

const rowOf = (session: SessionRow) => ({
  id: session.id,
  agentId: session.agentId,
  model: session.model,
  createdAt: session.createdAt.toISOString(),
  lastActiveAt: session.lastActiveAt.toISOString(),
  lastMessageAt: session.lastMessageAt?.toISOString() ?? null,
  messageCount: session.messageCount,
  preview: session.preview,
  persisted: true,
})

function messageOf(row: { kind: 'user' | 'assistant' | 'tool'; content: unknown; createdAt: Date }) {
  return {
    role: row.kind,
    content: Blocks.parse(row.content).map(sayBlock).join('\n'),
    timestamp: row.createdAt.toISOString(),
  }
}

function sayBlock(block: Block): string {
  switch (block.type) {
    case 'text':
      return block.text
    case 'image':
      return `[${block.mediaType}]`
    case 'tool_use':
      return `[${block.name} ${JSON.stringify(block.input)}]`
    case 'tool_result':
      return block.content
  }
}
