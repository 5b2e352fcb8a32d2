// What the holds of a turn are kept with, whoever takes them.
import type { PriceTable } from '../config/prices.ts'
import type { SessionIds } from '../domain/principal.ts'
import type { HoldMeta } from './ports.ts'

export type HeldStep = {
  readonly turnId: string
  readonly sessionId: string
  readonly step: number
  readonly runtimeScopeId: string | undefined
  /** Of the session tree: whose work it was, whatever ends later. */
  readonly sessionIds: SessionIds
}

/** Names the sessions and the scope that a step is counted for, and the minimum balance of the policy. */
export function stepMeta(
  { runtimeScopeId, sessionIds, ...step }: HeldStep,
  { minimumBalanceMicros }: Pick<PriceTable, 'minimumBalanceMicros'>,
): HoldMeta {
  return {
    ...step,
    ...sessionIds,
    ...(runtimeScopeId === undefined ? {} : { scopeId: runtimeScopeId }),
    ...(minimumBalanceMicros === 0n ? {} : { minimumMicros: minimumBalanceMicros.toString() }),
  }
}
