// Meters as arithmetic: what a window admits, what is given back, what midnight forgets.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { meters } from '../../domain/policy/rule.ts'
import { adjust, dayMs, takeFrom, unitParts, type Counter, type Take } from '../../domain/quota.ts'

const start = Date.UTC(2026, 10, 26, 12)
const second = (limit: number, burst = limit): Take => ({
  key: 'k',
  meter: 'calls-per-second',
  limit,
  burst,
  amount: 1,
})

test.each([
  ['calls-per-second', 1_000],
  ['requests-per-minute', 60_000],
  ['tokens-per-minute', 60_000],
] as const)('%s: the burst passes, the next one waits for one unit to drain', (meter, windowMs) => {
  const take: Take = { key: 'k', meter, limit: 10, burst: 12, amount: 1 }
  let counter: Counter | undefined
  for (let n = 0; n < 12; n += 1) {
    const taken = takeFrom(counter, take, start)
    expect(taken).toMatchObject({ ok: true, reading: { remaining: 11 - n } })
    if (taken.ok) counter = taken.counter
  }
  const refused = takeFrom(counter, take, start)
  expect(refused).toMatchObject({ ok: false, waitMs: windowMs / 10, reading: { remaining: 0 } })
  expect(takeFrom(counter, take, start + windowMs / 10 - 1).ok).toBe(false)
  expect(takeFrom(counter, take, start + windowMs / 10).ok).toBe(true)
})

test('a day is the UTC day: n pass, the next waits for midnight, and midnight forgets', () => {
  const take: Take = { key: 'k', meter: 'calls-per-day', limit: 3, burst: 3, amount: 1 }
  let counter: Counter | undefined
  for (let n = 0; n < 3; n += 1) {
    const taken = takeFrom(counter, take, start)
    if (taken.ok) counter = taken.counter
  }
  const midnight = Date.UTC(2026, 10, 27)
  expect(takeFrom(counter, take, midnight - 1)).toEqual({
    ok: false,
    waitMs: 1,
    reading: { remaining: 0, resetAt: midnight },
  })
  expect(takeFrom(counter, take, midnight)).toMatchObject({
    ok: true,
    reading: { remaining: 2, resetAt: midnight + dayMs },
  })
})

test('a limit that is changed keeps what was used', () => {
  const ten = takeFrom({ used: 8 * unitParts, at: start }, second(10), start)
  expect(ten).toMatchObject({ ok: true, reading: { remaining: 1 } })
  expect(takeFrom({ used: 8 * unitParts, at: start }, second(5), start)).toMatchObject({ ok: false })
})

test('what is larger than the whole counter passes an empty one and is counted whole', () => {
  const tokens: Take = { key: 'k', meter: 'tokens-per-minute', limit: 600, burst: 600, amount: 1_200 }
  const taken = takeFrom(undefined, tokens, start)
  expect(taken.ok).toBe(true)
  const counter = taken.ok ? taken.counter : undefined
  expect(takeFrom(counter, { ...tokens, amount: 1 }, start)).toMatchObject({ ok: false, waitMs: 60_100 })
})

test('nothing asks whether one more would pass', () => {
  const full = { used: 10 * unitParts, at: start }
  expect(takeFrom(full, { ...second(10), amount: 0 }, start).ok).toBe(false)
  const free = takeFrom({ used: 9 * unitParts, at: start }, { ...second(10), amount: 0 }, start)
  expect(free.ok && free.counter.used).toBe(9 * unitParts)
})

const clockSteps = fc.array(fc.record({ waitMs: fc.nat(2_500), amount: fc.nat(3) }), { minLength: 1, maxLength: 60 })

test('no window admits more than the burst and what drains in it', () => {
  const property = fc.property(
    clockSteps,
    fc.integer({ min: 1, max: 20 }),
    fc.integer({ min: 1, max: 30 }),
    (steps, limit, burst) => {
      const admitted: { at: number; amount: number }[] = []
      let [at, counter] = [start, undefined as Counter | undefined]
      for (const { waitMs, amount } of steps) {
        at += waitMs
        const taken = takeFrom(counter, { ...second(limit, burst), amount: Math.min(amount, burst) }, at)
        if (!taken.ok) continue
        counter = taken.counter
        admitted.push({ at, amount: Math.min(amount, burst) })
      }
      return admitted.every(({ at: from }, index) =>
        admitted.slice(index).every(({ at: until }, length) => {
          const sum = admitted.slice(index, index + length + 1).reduce((all, each) => all + each.amount, 0)
          return sum <= burst + (limit * (until - from)) / 1_000 + 1e-9
        }),
      )
    },
  )
  expect(() => fc.assert(property, { numRuns: 500 })).not.toThrow()
})

test('what is given back at once leaves the counter as it was; given back late it never admits more', () => {
  const change = fc.record({
    meter: fc.constantFrom(...meters),
    used: fc.nat(20),
    amount: fc.integer({ min: 1, max: 5 }),
    lateMs: fc.nat(3_000),
  })
  const property = fc.property(change, ({ meter, used, amount, lateMs }) => {
    const take: Take = { key: 'k', meter, limit: 30, burst: 30, amount }
    const before = { used: used * unitParts, at: start }
    const taken = takeFrom(before, take, start)
    if (!taken.ok) return false
    const back = { ...take, amount: -amount, takenAt: start }
    const atOnce = adjust(taken.counter, back, start)
    const late = adjust(taken.counter, back, start + lateMs)
    const without = adjust(before, { ...back, amount: 0 }, start + lateMs)
    return atOnce.used === before.used && late.used >= without.used && late.used <= taken.counter.used
  })
  expect(() => fc.assert(property, { numRuns: 500 })).not.toThrow()
})

test('a take of yesterday is not given back to today', () => {
  const take: Take = { key: 'k', meter: 'calls-per-day', limit: 9, burst: 9, amount: -1 }
  const today = { used: 2 * unitParts, at: start }
  expect(adjust(today, { ...take, takenAt: start - dayMs }, start).used).toBe(2 * unitParts)
  expect(adjust(today, { ...take, takenAt: start - 1 }, start).used).toBe(unitParts)
})
