// The house-keeping of the API processes: ends tries that were submitted and never taken, voids their holds, and forgets
// keys that hold no longer. It runs here because Temporal may be what is down. Queued tries are never touched: somebody
// has promised to run them.
import { turnHoldId, voidId } from '../crypto/turn-ids.ts'
import type { Pool } from '../db/pool.ts'
import { purgeDeleted } from '../db/chat-session.ts'
import { dropOldKeys, staleTries } from '../db/turn.ts'
import { endTry } from '../db/turn-step.ts'
import { dropOldReplies } from '../db/idempotent-reply.ts'
import { toError } from '../domain/errors.ts'
import type { QuotaStore } from './ports.ts'
import {
  idempotencyKeySecondsMax,
  idempotentSweepRows,
  turnSubmittedSweepMs,
  turnSweepEveryMs,
} from '../domain/limits.ts'

const rowsMax = 100

/** One pass; answers how many tries it ended. */
export async function sweepTurns(pool: Pool, olderMs = turnSubmittedSweepMs): Promise<number> {
  let ended = 0
  for (const { turnId, try: attempt } of await staleTries(pool, { olderMs, limit: rowsMax })) {
    const hold = turnHoldId({ turnId, try: attempt, step: 1, n: 0 })
    if (await endTry(pool, { turnId, try: attempt, from: ['submitted'], reason: 'swept', voidId: voidId(hold) }))
      ended += 1
  }
  return ended
}

export type TurnSweepDeps = {
  readonly pool: Pool
  readonly quota: Pick<QuotaStore, 'purge'>
  readonly onFault: (error: Error) => void
  readonly everyMs?: number
}

/** Sweeps every few seconds until disposed; several processes may do so at once. */
export function createTurnSweep({ pool, quota, onFault, everyMs = turnSweepEveryMs }: TurnSweepDeps): AsyncDisposable {
  let running: Promise<void> | undefined
  const pass = async () => {
    await sweepTurns(pool)
    await purgeDeleted(pool)
    await quota.purge()
    await dropOldKeys(pool, { olderSeconds: idempotencyKeySecondsMax, limit: rowsMax })
    await dropOldReplies(pool, idempotentSweepRows)
  }
  const timer = setInterval(() => {
    running ??= pass()
      .catch((error: unknown) => onFault(toError(error)))
      .finally(() => (running = undefined))
  }, everyMs)
  timer.unref()
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await running
    },
  }
}
