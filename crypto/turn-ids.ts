// Ids of a turn's money. Everything derives from the hold, and the hold from (turn, try, step, n): whoever retries
// arrives at the same row.
import { uuidV5 } from './uuid.ts'

export type HoldName = {
  readonly turnId: string
  readonly try: number
  readonly step: number
  /** Raised whenever a wait voided the hold before. */
  readonly n: number
  /** Present for a tool call of the step. */
  readonly toolCallId?: string
}

/** Id of the reservation of a model step or of one of its tool calls. */
export function turnHoldId({ turnId, try: attempt, step, n, toolCallId }: HoldName): string {
  const call = toolCallId === undefined ? '' : `:${toolCallId}`
  return uuidV5(`${turnId}:${attempt}:${step}${call}:${n}`)
}

export const postId = (holdId: string): string => uuidV5(`post:${holdId}`)
export const voidId = (holdId: string): string => uuidV5(`void:${holdId}`)
/** Second transfer for what an effect cost beyond its hold. */
export const excessId = (holdId: string): string => uuidV5(`excess:${holdId}`)
