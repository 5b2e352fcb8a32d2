// Sessions of a person with an agent: opened under the verified session tree, read by their owner only, deleted for
// good.
import { randomBytes, randomUUID } from 'node:crypto'
import type { Durable } from '../clients/durable.ts'
import type { Agent } from '../config/agents.ts'
import type { PriceTable, resolveModel } from '../config/prices.ts'
import { deleteSession, insertSession, readSession, type SessionRow } from '../db/chat-session.ts'
import { insertNode } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { readSettings } from '../db/wallet-settings.ts'
import { GatewayError } from '../domain/errors.ts'
import { sessionsPerWalletMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import type { Events } from '../telemetry/events.ts'
import { errorOf } from './answer.ts'
import type { Pipeline } from './call.ts'
import { ownDecision, recordAct } from './house-record.ts'
import type { Transcripts } from './transcripts.ts'

export type SessionsDeps = {
  readonly pool: Pool
  readonly pipeline: Pick<Pipeline, 'admit'>
  readonly transcripts: Transcripts
  readonly durable: Pick<Durable, 'closeSession'>
  readonly prices: PriceTable
  readonly resolveModel: typeof resolveModel
  readonly events: Events
  /** Open sessions a wallet may have. */
  readonly sessionsMax?: number
}

export type SessionOrder = {
  readonly principal: Principal
  readonly agent: Agent
  readonly model: string | undefined
  readonly engine: string | undefined
}

const engineDefault = 'claude' // the only engine that is enabled

/** Opens a session. Refuses an unknown model, an engine that is not enabled, and one session too many. */
export async function openSession(deps: SessionsDeps, order: SessionOrder): Promise<SessionRow> {
  const { principal, agent } = order
  const wanted = order.model ?? (await defaultModel(deps, principal)) ?? agent.model
  const model = deps.resolveModel(deps.prices, wanted)
  if (model === undefined) {
    throw new GatewayError('model-unknown', 'The model is not known here.', { details: { model: wanted } })
  }
  const engine = order.engine ?? engineDefault
  if (engine !== engineDefault) {
    throw new GatewayError('request-invalid', `The engine ${engine} is not enabled here.`, {
      details: { field: 'executionEngine' },
    })
  }
  const id = randomUUID()
  await admit(deps, order, id)
  const session = await insertWithNodes(deps, { id, principal, agentId: agent.id, model, engine })
  deps.events.sessionOpened({ sessionId: id, agentId: agent.id })
  return session
}

// What the owner chose stands as long as it has a price.
async function defaultModel(deps: SessionsDeps, { walletId }: Principal): Promise<string | undefined> {
  const { defaultModel: chosen } = await readSettings(deps.pool, walletId)
  return typeof chosen === 'string' ? deps.resolveModel(deps.prices, chosen) : undefined
}

async function admit({ pipeline }: SessionsDeps, { principal, agent }: SessionOrder, id: string): Promise<void> {
  const answer = await pipeline.admit({
    principal,
    session: null,
    action: 'session.create',
    resource: { kind: 'agent', name: agent.id, effectClass: 'write', owner: principal.wallet },
    facts: { phase: 'call', arguments: { agentId: agent.id } },
    origin: 'http',
    effectKey: `session:${id}`,
    attempt: 1,
  })
  if (answer.kind !== 'done') throw errorOf(answer)
}

type NewSession = Pick<SessionRow, 'id' | 'agentId' | 'model' | 'engine'> & { readonly principal: Principal }

// user -> workflow -> agent: two nodes of the tree come with each session.
async function insertWithNodes(deps: SessionsDeps, { principal, ...session }: NewSession): Promise<SessionRow> {
  const [wsid, asid] = [randomBytes(16).toString('hex'), randomBytes(16).toString('hex')]
  const { tenant, walletId, sessionIds } = principal
  const sessionsMax = deps.sessionsMax ?? sessionsPerWalletMax
  return inTransaction(deps.pool, async (client) => {
    const node = { tenant, walletId, expiresAt: null }
    await insertNode(client, { ...node, id: wsid, kind: 'wsid', parentId: sessionIds.usid, subject: session.id })
    await insertNode(client, { ...node, id: asid, kind: 'asid', parentId: wsid, subject: session.agentId })
    const row = await insertSession(client, { ...session, walletId, tenant, wsid, asid }, sessionsMax)
    if (!row) {
      throw new GatewayError('session-limit', `A wallet may have ${sessionsMax} open sessions.`, {
        details: { sessionsMax },
      })
    }
    return row
  })
}

export type SessionName = { readonly principal: Principal; readonly agentId: string; readonly sessionId: string }

/** The caller's session with the agent. Somebody else's is not found. */
export async function ownSession(pool: Pool, { principal, agentId, sessionId }: SessionName): Promise<SessionRow> {
  const session = await readSession(pool, { id: sessionId, walletId: principal.walletId, agentId })
  if (!session) throw new GatewayError('not-found', 'There is no such session.')
  return session
}

const ownersRight = ownDecision('owner-deletes', 'The owner of a session may delete it at any time.')

/** Ends the session's workflow, purges what was said and destroys its key. While its workflow cannot be told, nothing is deleted. */
export async function removeSession(deps: SessionsDeps, name: SessionName): Promise<void> {
  const session = await ownSession(deps.pool, name)
  await close(deps, session.id)
  await inTransaction(deps.pool, async (client) => {
    await deleteSession(client, session.id)
    await recordAct(client, {
      principal: name.principal,
      action: 'session.delete',
      resource: { kind: 'session', name: session.id },
      facts: { sessionId: session.id },
      origin: 'http',
      effectKey: `session.delete:${session.id}`,
      decision: ownersRight,
    })
  })
  deps.transcripts.forget(session.id)
  await close(deps, session.id).catch(() => undefined) // a turn may have slipped in between; the sweep purges its words
  deps.events.sessionDeleted({ sessionId: session.id })
}

async function close({ durable }: SessionsDeps, sessionId: string): Promise<void> {
  try {
    await durable.closeSession(sessionId)
  } catch (cause) {
    throw new GatewayError('durable-unavailable', 'The session could not be ended; nothing was deleted.', { cause })
  }
}
