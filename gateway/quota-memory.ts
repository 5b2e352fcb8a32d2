// Counters in the memory of one process: for one replica, and as the plain reading that other stores are compared with.
// Their number is bounded: where nothing can be forgotten, a new counter is refused.
import {
  adjust,
  counterAt,
  takeFrom,
  type Counter,
  type QuotaAnswer,
  type Reading,
  type Take,
} from '../domain/quota.ts'
import { quotaCountersMax, quotaLookMax } from '../domain/limits.ts'
import type { QuotaStore } from './ports.ts'

type Kept = { readonly counter: Counter; readonly take: Take }

/** `now`: ms since 1970. */
export function createMemoryQuota(now: () => number = Date.now, countersMax = quotaCountersMax): QuotaStore {
  const kept = new Map<string, Kept>()
  const hasRoom = (written: number, at: number) => kept.size + written < countersMax || makeRoom(kept, at)
  return {
    async take(takes): Promise<QuotaAnswer> {
      const at = now()
      const written: Kept[] = []
      const readings: Reading[] = []
      for (const [index, take] of takes.entries()) {
        const before = written.findLast((each) => each.take.key === take.key) ?? kept.get(take.key)
        const taken = takeFrom(before?.counter, take, at)
        if (!taken.ok) return { ok: false, refused: index, waitMs: taken.waitMs, reading: taken.reading }
        if (before === undefined && !hasRoom(written.length, at))
          return { ok: false, refused: index, waitMs: noRoomMs, reading: { remaining: 0, resetAt: at + noRoomMs } }
        written.push({ counter: taken.counter, take })
        readings.push(taken.reading)
      }
      for (const each of written) keep(kept, each)
      return { ok: true, at, readings }
    },
    async adjust(changes) {
      const at = now()
      for (const change of changes) {
        const before = kept.get(change.key)
        if (before || kept.size < countersMax || (change.amount > 0 && hasRoom(0, at)))
          keep(kept, { counter: adjust(before?.counter, change, at), take: change })
      }
    },
    async purge() {
      return forget(kept, now())
    },
  }
}

// The last that were touched stand last.
function keep(kept: Map<string, Kept>, each: Kept): void {
  kept.delete(each.take.key)
  kept.set(each.take.key, each)
}

/** When somebody who finds no room may come again. */
const noRoomMs = 1_000

// Looks at the next few only, so that a full store costs a call no more than they do. A counter that drained says nothing;
// a rate that is forgotten admits one burst more; what is used of a day is never forgotten within it.
function makeRoom(kept: Map<string, Kept>, at: number): boolean {
  let spare: string | undefined
  for (const [key, each] of [...take(kept, quotaLookMax)]) {
    if (counterAt(each.counter, each.take, at).used === 0) return kept.delete(key)
    if (each.take.meter !== 'calls-per-day') spare ??= key
    else keep(kept, each)
  }
  return spare !== undefined && kept.delete(spare)
}

function* take<T>(all: Iterable<T>, count: number): Generator<T> {
  let taken = 0
  for (const each of all) {
    if ((taken += 1) > count) return
    yield each
  }
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
