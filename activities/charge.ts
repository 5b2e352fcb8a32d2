// What a step of a turn costs: the totals after it, and the posting of their growth from the step's hold.
import { excessId, postId } from '../crypto/turn-ids.ts'
import type { Client } from '../db/pool.ts'
import { postHold, writeTotals, type Totals, type TurnFacts } from '../db/turn-step.ts'
import { GatewayError, invariant } from '../domain/errors.ts'
import { picos } from '../domain/money.ts'
import { baseCost, planCost, plans, rowsOf, stepPosting } from '../domain/pricing.ts'
import type { ModelUsage } from '../schemas/model.ts'
import type { ActivityDeps } from './deps.ts'

/** Totals after one more step; what is posted is the growth of the rounded sum. */
export function totalsAfter(
  turn: TurnFacts,
  added: { readonly picosAdded: bigint; readonly usage: ModelUsage; readonly toolCalls: number },
) {
  const costPicos = turn.costPicos + added.picosAdded
  const { usage } = added
  const inputTokens = usage.inputTokens + usage.cacheReadTokens + usage.cacheWrite5mTokens + usage.cacheWrite1hTokens
  return {
    costPicos,
    postedMicros: turn.postedMicros + stepPosting(picos(turn.costPicos), picos(costPicos)),
    inputTokens: turn.inputTokens + BigInt(inputTokens),
    outputTokens: turn.outputTokens + BigInt(usage.outputTokens),
    toolCalls: turn.toolCalls + added.toolCalls,
  }
}

type Charge = {
  readonly turn: TurnFacts
  readonly totals: Pick<TurnFacts, 'postedMicros'>
  readonly holdId: string
  readonly kind: 'model' | 'tool'
  readonly meta: Readonly<Record<string, unknown>>
}

type Metered = {
  readonly turn: TurnFacts
  readonly holdId: string
  readonly step: number
  readonly usage: ModelUsage
  /** Whether the step left a message. */
  readonly isKept: boolean
}

/** What a model call costs by its usage, in pico-USD. */
export function modelPicos(
  { prices, today }: Pick<ActivityDeps, 'prices' | 'today'>,
  model: string,
  usage: ModelUsage,
) {
  return planCost(plans.managed, baseCost(rowsOf(prices.rows, model, today()), usage), 0)
}

/** Posts what a model call used, and moves the totals of its turn. Answers the totals. */
export async function chargeModel(deps: ActivityDeps, client: Client, metered: Metered): Promise<Totals> {
  const { turn, holdId, step, usage, isKept } = metered
  const picosAdded = modelPicos(deps, turn.model, usage)
  const totals = { ...totalsAfter(turn, { picosAdded, usage, toolCalls: 0 }), isOutput: isKept }
  await writeTotals(client, turn.turnId, totals)
  const about = { turnId: turn.turnId, sessionId: turn.sessionId, step, model: turn.model }
  const meta = { ...about, picos: picosAdded.toString(), plan: plans.managed.id }
  await chargeStep(deps, client, { turn, totals, holdId, kind: 'model', meta })
  return totals
}

/** Transfer codes of the ledger. */
const codes = { model: 10, tool: 11 } as const

/** Posts the growth of the totals in the caller's transaction. Throws `turn-cancelled` when the try ended meanwhile. */
export async function chargeStep(
  { events }: Pick<ActivityDeps, 'events'>,
  client: Client,
  { turn, totals, holdId, kind, meta }: Charge,
): Promise<void> {
  const amountMicros = totals.postedMicros - turn.postedMicros
  const ids = { postId: postId(holdId), holdId, excessId: excessId(holdId) }
  const posted = await postHold(client, { ...ids, amountMicros, code: codes[kind], meta })
  if (posted === 'already_resolved') throw new GatewayError('turn-cancelled', 'The try ended meanwhile.')
  invariant(posted === 'ok', `Posting a ${kind} step answered ${posted}.`)
  events.chargePosted({ kind, micros: amountMicros, turnId: turn.turnId })
}
