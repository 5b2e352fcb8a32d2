// The hold of a model step. The door's covers what was known when the turn was submitted; what an earlier turn of the
// session said since then may make the first step dearer: that hold is voided and taken again under the next number.
import { turnHoldId, voidId } from '../crypto/turn-ids.ts'
import { readHold, voidHold } from '../db/turn-step.ts'
import type { ActivityDeps } from './deps.ts'
import type { StepRef } from './turn-context.ts'

export type StepHold = { readonly id: string; readonly amountMicros: bigint }

/** What to hold for a step that may cost `neededMicros`. A hold that stands keeps its amount, whoever repeats the step. */
export async function holdOfStep(
  { pool }: Pick<ActivityDeps, 'pool'>,
  ref: StepRef,
  neededMicros: bigint,
): Promise<StepHold> {
  const [first, next] = [turnHoldId({ ...ref, n: 0 }), turnHoldId({ ...ref, n: 1 })]
  const retaken = await readHold(pool, next)
  if (retaken !== undefined) return { id: next, amountMicros: retaken.amountMicros }
  const held = await readHold(pool, first)
  if (held === undefined) return { id: first, amountMicros: neededMicros }
  if (held.isVoided) return { id: next, amountMicros: neededMicros } // somebody died between the two
  if (held.amountMicros >= neededMicros || ref.step > 1) return { id: first, amountMicros: held.amountMicros }
  await voidHold(pool, { voidId: voidId(first), holdId: first, reason: 'too-small' })
  return { id: next, amountMicros: neededMicros }
}
