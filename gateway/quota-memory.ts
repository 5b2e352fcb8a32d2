// Counters in the memory of one process: for one replica, and as the plain reading that other stores are compared with.
import {
  adjust,
  counterAt,
  takeFrom,
  type Counter,
  type QuotaAnswer,
  type Reading,
  type Take,
} from '../domain/quota.ts'
import { quotaCountersMax } from '../domain/limits.ts'
import type { QuotaStore } from './ports.ts'

type Kept = { readonly counter: Counter; readonly take: Take }

/** `now`: ms since 1970. */
export function createMemoryQuota(now: () => number = Date.now): QuotaStore {
  const kept = new Map<string, Kept>()
  return {
    async take(takes): Promise<QuotaAnswer> {
      const at = now()
      const written: Kept[] = []
      const readings: Reading[] = []
      for (const [index, take] of takes.entries()) {
        const before = written.findLast((each) => each.take.key === take.key) ?? kept.get(take.key)
        const taken = takeFrom(before?.counter, take, at)
        if (!taken.ok) return { ok: false, refused: index, waitMs: taken.waitMs, reading: taken.reading }
        written.push({ counter: taken.counter, take })
        readings.push(taken.reading)
      }
      for (const each of written) keep(kept, each, at)
      return { ok: true, at, readings }
    },
    async adjust(changes) {
      const at = now()
      for (const change of changes)
        keep(kept, { counter: adjust(kept.get(change.key)?.counter, change, at), take: change }, at)
    },
    async purge() {
      return forget(kept, now())
    },
  }
}

// Counters that drained say nothing. When all are in use the oldest goes: a bound on memory, and the limit of a caller
// that was quiet longest starts anew.
function keep(kept: Map<string, Kept>, each: Kept, at: number): void {
  kept.delete(each.take.key)
  kept.set(each.take.key, each)
  if (kept.size <= quotaCountersMax || forget(kept, at) > 0) return
  const [oldest] = kept.keys()
  if (oldest !== undefined) kept.delete(oldest)
}

function forget(kept: Map<string, Kept>, at: number): number {
  let gone = 0
  for (const [key, { counter, take }] of kept) {
    if (counterAt(counter, take, at).used > 0) continue
    kept.delete(key)
    gone += 1
  }
  return gone
}
