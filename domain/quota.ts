// Meters that are no money: calls per second, requests and tokens per minute, calls per UTC day. A counter holds what was
// used and drains at the rate of its limit (a leaky bucket as a meter), or is forgotten at midnight UTC; so a limit that
// changes keeps what was used. Integers throughout: the same steps in another store give the same numbers.
import type { Meter } from './policy/rule.ts'

/** One unit of a counter, in the smallest part that is kept. Drains of a thousandth of a unit stay exact. */
export const unitParts = 60_000_000
export const dayMs = 86_400_000

/** What a call wants of one counter. `amount` in units; 0 only asks whether one more would pass. */
export type Take = {
  /** Names the counter. */
  readonly key: string
  readonly meter: Meter
  /** Units per second, minute or UTC day. */
  readonly limit: number
  /** Most units at once; the limit itself for a day. */
  readonly burst: number
  readonly amount: number
}

/** `used` in parts of a unit, as of `at` (ms since 1970). */
export type Counter = { readonly used: number; readonly at: number }

/** What is left after a take, and when the counter will be as new. */
export type Reading = { readonly remaining: number; readonly resetAt: number }

export type Taken =
  | { readonly ok: true; readonly counter: Counter; readonly reading: Reading }
  | { readonly ok: false; readonly waitMs: number; readonly reading: Reading }

/** Parts of a unit that a counter loses per millisecond; 0 for a day. */
export function drainOf({ meter, limit }: Pick<Take, 'meter' | 'limit'>): number {
  if (meter === 'calls-per-day') return 0
  return Math.round(meter === 'calls-per-second' ? limit * 60_000 : limit * 1_000)
}

/** The counter at a moment. A clock that goes back changes nothing. */
export function counterAt(counter: Counter | undefined, take: Pick<Take, 'meter' | 'limit'>, nowMs: number): Counter {
  if (counter === undefined) return { used: 0, at: nowMs }
  const at = Math.max(nowMs, counter.at)
  if (take.meter === 'calls-per-day') return { used: dayOf(at) === dayOf(counter.at) ? counter.used : 0, at }
  return { used: Math.max(0, counter.used - drainOf(take) * (at - counter.at)), at }
}

/**
 * Takes from one counter, or says how long to wait. What is larger than the counter itself passes when the counter is
 * empty, and is counted whole: it can never pass otherwise.
 */
export function takeFrom(counter: Counter | undefined, take: Take, nowMs: number): Taken {
  const now = counterAt(counter, take, nowMs)
  const capacity = Math.round(take.burst * unitParts)
  const asked = Math.round(take.amount * unitParts)
  const needed = Math.min(asked > 0 ? asked : unitParts, capacity)
  const over = now.used + needed - capacity
  if (over > 0) return { ok: false, waitMs: waitOf(take, now, over), reading: readingOf(take, now) }
  const after = { used: now.used + asked, at: now.at }
  return { ok: true, counter: after, reading: readingOf(take, after) }
}

/**
 * Changes what was taken at `takenAt` by `amount` units: less (below zero) is given back without what has drained since,
 * so that no window ever admits more; of another day nothing is given back.
 */
export function adjust(
  counter: Counter | undefined,
  change: Take & { readonly takenAt: number },
  nowMs: number,
): Counter {
  const now = counterAt(counter, change, nowMs)
  const parts = Math.round(change.amount * unitParts)
  if (parts >= 0) return { used: now.used + parts, at: now.at }
  if (change.meter === 'calls-per-day' && dayOf(change.takenAt) !== dayOf(now.at)) return now
  const drained = drainOf(change) * Math.max(0, now.at - change.takenAt)
  return { used: Math.max(0, now.used - Math.max(0, -parts - drained)), at: now.at }
}

function waitOf(take: Take, { at }: Counter, over: number): number {
  const drain = drainOf(take)
  return drain === 0 ? nextDay(at) - at : Math.ceil(over / drain)
}

function readingOf(take: Take, { used, at }: Counter): Reading {
  const left = Math.max(0, Math.round(take.burst * unitParts) - used)
  const drain = drainOf(take)
  return { remaining: Math.floor(left / unitParts), resetAt: drain === 0 ? nextDay(at) : at + Math.ceil(used / drain) }
}

const dayOf = (ms: number) => Math.floor(ms / dayMs)
const nextDay = (ms: number) => (dayOf(ms) + 1) * dayMs

/** What a store answers: readings of all takes, or which one refused and when to come again. */
export type QuotaAnswer =
  | { readonly ok: true; readonly at: number; readonly readings: readonly Reading[] }
  | { readonly ok: false; readonly refused: number; readonly waitMs: number; readonly reading: Reading }

/** A later correction of a take: `amount` more units, or less when below zero. */
export type Adjustment = Take & { readonly takenAt: number }
