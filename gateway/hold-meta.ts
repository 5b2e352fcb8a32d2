// What the holds of a turn are kept with, whoever takes them.
import type { PriceTable } from '../config/prices.ts'
import type { HoldMeta } from './ports.ts'

export type HeldStep = {
  readonly turnId: string
  readonly sessionId: string
  readonly step: number
  readonly runtimeScopeId: string | undefined
}

/** Names the session and the scope that a step is counted for, and the minimum balance of the policy. */
export function stepMeta(
  { runtimeScopeId, ...step }: HeldStep,
  { minimumBalanceMicros }: Pick<PriceTable, 'minimumBalanceMicros'>,
): HoldMeta {
  return {
    ...step,
    ...(runtimeScopeId === undefined ? {} : { scopeId: runtimeScopeId }),
    ...(minimumBalanceMicros === 0n ? {} : { minimumMicros: minimumBalanceMicros.toString() }),
  }
}
