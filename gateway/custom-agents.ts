// Agents that a wallet's owner makes, changes and forgets. Each change is decided and recorded like any other write; the
// next turn runs by it, on every replica.
import type { PriceTable, resolveModel } from '../config/prices.ts'
import { sha256Hex } from '../crypto/evidence.ts'
import { deleteCustomAgent, idOfAgent, listCustomAgents, readCustomAgent, writeVersion } from '../db/custom-agent.ts'
import type { Client, Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError, invariant } from '../domain/errors.ts'
import { customAgentsPerWalletMax, customAgentVersionsMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import type { Page } from '../schemas/common.ts'
import { AgentDefinition, type CustomAgent, type CustomAgentPage, type SavedAgent } from '../schemas/custom-agent.ts'
import { agentOf } from './agent-directory.ts'
import type { AgentCatalogue } from './agents.ts'
import { errorOf } from './answer.ts'
import type { Pipeline } from './call.ts'

export type CustomAgentDeps = {
  readonly pool: Pool
  readonly pipeline: Pick<Pipeline, 'admit'>
  readonly catalogue: Pick<AgentCatalogue, 'servers' | 'toolsOf'>
  readonly prices: PriceTable
  readonly resolveModel: typeof resolveModel
  /** Agents that a wallet may have. */
  readonly agentsMax?: number
}

/** Who changes an agent, by which request. */
export type AgentChanger = { readonly principal: Principal; readonly requestId: string }

/**
 * Makes an agent, or a new version of the owner's agent of that id. Its id is the chosen one with a suffix. Throws
 * `request-invalid` for an unknown server, `model-unknown`, `agent-limit`.
 */
export async function saveAgent(
  deps: CustomAgentDeps,
  changer: AgentChanger,
  definition: AgentDefinition,
): Promise<SavedAgent> {
  checkNames(deps, definition)
  const { walletId } = changer.principal
  const agentsMax = deps.agentsMax ?? customAgentsPerWalletMax
  const id = await idOfAgent(deps.pool, { walletId, id: definition.id, candidates: idsOf(walletId, definition.id) })
  invariant(id !== undefined, 'One of some ids is free.')
  const version = await change(deps, { ...changer, facts: { id, definition } }, async (client) => {
    const row = { id, walletId, baseId: definition.id, definition, agentsMax, versionsMax: customAgentVersionsMax }
    const written = await writeVersion(client, row)
    if (written === 'too-many')
      throw new GatewayError('agent-limit', `A wallet may have ${agentsMax} agents of its own.`, {
        details: { agentsMax },
      })
    invariant(written !== 'taken', 'Nobody took the id a moment ago.')
    return written
  })
  return { agentId: id, agentName: definition.name, version }
}

// Six hex digits of the wallet and the name: the same agent again is the same id. Names of two wallets meet once in 16
// million times; then the next one serves.
function idsOf(walletId: bigint, baseId: string): string[] {
  const suffix = (n: number) => sha256Hex(`agent ${walletId} ${baseId} ${n}`).slice(0, 6)
  return [0, 1, 2, 3].map((n) => `${baseId}-${suffix(n)}`)
}

/** Forgets an agent: its definition goes, its sessions take no more turns. Throws `not-found`. */
export async function removeAgent(deps: CustomAgentDeps, changer: AgentChanger, id: string): Promise<void> {
  const { walletId } = changer.principal
  if (!(await readCustomAgent(deps.pool, { walletId, id }))) throw unknown() // nothing to decide, nothing to record
  await change(deps, { ...changer, facts: { id } }, async (client) => {
    if (!(await deleteCustomAgent(client, { walletId, id }))) throw unknown()
  })
}

/** The stored definition, with the tools that it leads to now. Throws `not-found`. */
export async function showCustomAgent(
  { pool, catalogue }: CustomAgentDeps,
  { walletId }: Principal,
  id: string,
): Promise<CustomAgent> {
  const row = await readCustomAgent(pool, { walletId, id })
  if (!row) throw unknown()
  const definition = AgentDefinition.parse(row.definition)
  return {
    agentId: row.id,
    version: row.version,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    definition,
    tools: await catalogue.toolsOf(agentOf({ ...row, definition })),
  }
}

export async function customAgentsOf(
  { pool }: CustomAgentDeps,
  { walletId }: Principal,
  page: Page,
): Promise<CustomAgentPage> {
  const { rows, total } = await listCustomAgents(pool, { walletId, ...page })
  const agents = rows.map(({ id, version, createdAt, updatedAt, definition }) => {
    const { name, title = name } = AgentDefinition.parse(definition)
    return { agentId: id, version, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString(), name, title }
  })
  return { agents, total, hasMore: page.offset + rows.length < total }
}

// A misspelt server or model would fail in the first turn, long after its owner has looked away.
function checkNames({ catalogue, prices, resolveModel: resolve }: CustomAgentDeps, definition: AgentDefinition): void {
  const { model, mcp_servers: servers = [] } = definition
  const strange = servers.find((server) => !catalogue.servers().has(server))
  if (strange !== undefined)
    throw new GatewayError('request-invalid', `There is no tool server ${strange}.`, {
      details: { field: 'definition.mcp_servers' },
    })
  if (model !== undefined && resolve(prices, model) === undefined)
    throw new GatewayError('model-unknown', 'The model is not known here.', { details: { model } })
}

async function change<T>(
  { pool, pipeline }: CustomAgentDeps,
  {
    principal,
    requestId,
    facts,
  }: AgentChanger & { readonly facts: { readonly id: string; readonly definition?: AgentDefinition } },
  make: (client: Client) => Promise<T>,
): Promise<T> {
  const call = {
    principal,
    session: null,
    action: 'agent.change',
    resource: { kind: 'agent', name: facts.id, effectClass: 'write', owner: principal.wallet },
    facts: { phase: 'call', arguments: facts },
    origin: 'http',
    effectKey: `agent:${requestId}`,
    attempt: 1,
  } as const
  const answer = await pipeline.admit(call, async ({ record, meter }) => {
    await meter()
    return inTransaction(pool, async (client) => {
      const made = await make(client)
      await record(client)
      return made
    })
  })
  if (answer.kind !== 'done') throw errorOf(answer)
  return answer.value
}

const unknown = () => new GatewayError('not-found', 'There is no such agent.')
