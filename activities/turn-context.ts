// What every step of a turn begins with: the turn, who asked for it, through which agent, and who it is billed as.
import { GatewayError } from '../domain/errors.ts'
import { actThrough, type Principal } from '../domain/principal.ts'
import { readTurn, type TurnFacts } from '../db/turn-step.ts'
import { principalOf } from '../gateway/admission-record.ts'
import { Admission } from '../schemas/admission.ts'
import type { Agent } from '../config/agents.ts'
import type { ActivityDeps } from './deps.ts'

export type StepRef = { readonly turnId: string; readonly try: number; readonly step: number }

export type TurnContext = { readonly turn: TurnFacts; readonly agent: Agent; readonly principal: Principal }

/** Loads it, or refuses: a deleted session, an unknown agent. */
export async function turnContext(deps: ActivityDeps, turnId: string): Promise<TurnContext> {
  const turn = await readTurn(deps.pool, turnId)
  if (!turn) throw new GatewayError('turn-cancelled', 'The turn is gone.')
  const agent = deps.agents.get(turn.agentId)
  if (!agent) throw new GatewayError('not-found', 'The agent is gone.')
  const asked = principalOf(Admission.parse(turn.admission), deps.members)
  return { turn, agent, principal: actThrough(asked, { kind: 'agent', id: agent.id }) }
}

/** Ledger entries of one try share this name. */
export const tryName = (ref: { readonly turnId: string; readonly try: number }): string => `${ref.turnId}:${ref.try}`
