// What every step of a turn begins with: the turn, who asked for it, through which agent, and who it is billed as.
import { GatewayError } from '../domain/errors.ts'
import { actThrough, type Principal } from '../domain/principal.ts'
import { readScopeLimits } from '../db/runtime-scope.ts'
import { readTurn, type TurnFacts } from '../db/turn-step.ts'
import { principalOf } from '../gateway/admission-record.ts'
import { findAgent } from '../gateway/agent-directory.ts'
import { Admission } from '../schemas/admission.ts'
import type { Agent } from '../config/agents.ts'
import type { ActivityDeps } from './deps.ts'

export type StepRef = { readonly turnId: string; readonly try: number; readonly step: number }

export type TurnContext = {
  readonly turn: TurnFacts
  /** The recipe, with the servers that the turn's scope leaves of its own. */
  readonly agent: Agent
  readonly principal: Principal
  readonly runtimeScopeId: string | undefined
}

/** Loads it, or refuses: a deleted session, an unknown agent, a scope that is active no more. */
export async function turnContext(deps: ActivityDeps, turnId: string): Promise<TurnContext> {
  const turn = await readTurn(deps.pool, turnId)
  if (!turn) throw new GatewayError('turn-cancelled', 'The turn is gone.')
  const admission = Admission.parse(turn.admission)
  const { runtimeScopeId, agentVersion } = admission
  const { walletId } = turn
  const agent = await findAgent(deps.pool, deps.agents, { walletId, id: turn.agentId, version: agentVersion })
  const asked = principalOf(admission, deps.members)
  return {
    turn,
    agent: await confined(deps, agent, { walletId, id: runtimeScopeId }),
    principal: actThrough(asked, { kind: 'agent', id: agent.id }),
    runtimeScopeId,
  }
}

// Read at each step: a server that is disabled, or a scope that is paused, stops the turn's next step.
async function confined(
  { pool }: ActivityDeps,
  agent: Agent,
  { walletId, id }: { walletId: bigint; id: string | undefined },
): Promise<Agent> {
  if (id === undefined) return agent
  const scope = await readScopeLimits(pool, { walletId, id })
  if (scope?.status !== 'active') throw new GatewayError('scope-inactive', 'The runtime scope is not active.')
  return { ...agent, servers: agent.servers.filter((server) => scope.serverIds.includes(server)) }
}

/** Ledger entries of one try share this name. */
export const tryName = (ref: { readonly turnId: string; readonly try: number }): string => `${ref.turnId}:${ref.try}`

/** What the spans of a step's upstream calls say: the turn, and the session tree above it. */
export function spanFacts({ sessionIds }: Principal, { turnId }: { readonly turnId: string }): Record<string, string> {
  const ids = Object.entries(sessionIds).map(([name, id]) => [`gatehouse.${name}`, id] as const)
  return { 'gatehouse.turn': turnId, ...Object.fromEntries(ids) }
}
