import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatUsd, micros, parseMicros, picos, roundHalfUp } from '../../domain/money.ts'
import {
  modelReservation,
  baseCost,
  noUsage,
  planCost,
  plans,
  rowsOf,
  stepPosting,
  type ModelPrice,
} from '../../domain/pricing.ts'
import { readPrices } from '../../workers/files.ts'

test.each(['', '-1', '01', '1.5', '1e3', ' 1', '9'.repeat(20), '9223372036854775808'])(
  'refuses %j as an amount',
  (text) => {
    expect(parseMicros(text)).toBeUndefined()
  },
)

test.each([
  [18_000n, 2, 2_800n, 21_700n],
  [12_345n, 3, 2_735n, 15_697n],
  [0n, 1, 500n, 500n],
  [1n, 0, 0n, 1n],
  [4n, 0, 0n, 5n],
  [5n, 0, 1n, 6n],
])('a base of %d with %d tool calls costs %d with the own key and %d otherwise', (base, calls, byok, managed) => {
  expect(roundHalfUp(planCost(plans.byok, picos(base * 1_000_000n), calls))).toBe(byok)
  expect(roundHalfUp(planCost(plans.managed, picos(base * 1_000_000n), calls))).toBe(managed)
})

test('the postings of a turn sum to its cost rounded once, however it is cut into steps', () => {
  fc.assert(
    fc.property(fc.array(fc.bigInt({ min: 0n, max: 10n ** 15n }), { maxLength: 30 }), (steps) => {
      let before = 0n
      let posted = 0n
      for (const step of steps) {
        posted += stepPosting(picos(before), picos(before + step))
        before += step
      }
      expect(posted).toBe(roundHalfUp(picos(before)))
    }),
  )
})

test('a reservation covers every usage within its bound, at every tier', async () => {
  const { rows } = await readPrices()
  const models = [...new Set(rows.map((row) => row.model))]
  const usage = fc.record({
    model: fc.constantFrom(...models),
    input: fc.nat(300_000),
    cut: fc.array(fc.nat(100), { minLength: 4, maxLength: 4 }),
    output: fc.nat(8_000),
  })
  fc.assert(
    fc.property(usage, ({ model, input, cut, output }) => {
      const total = cut.reduce((all, part) => all + part, 0) || 1
      const [a = 0, b = 0, c = 0] = cut.map((part) => Math.floor((input * part) / total))
      const spent = {
        ...noUsage,
        inputTokens: a,
        cacheReadTokens: b,
        cacheWrite5mTokens: c,
        cacheWrite1hTokens: input - a - b - c,
        outputTokens: output,
      }
      const priced = rowsOf(rows, model, '2026-11-24')
      const held = modelReservation(priced, plans.managed, { inputTokens: input, outputTokens: output })
      expect(roundHalfUp(planCost(plans.managed, baseCost(priced, spent), 0))).toBeLessThanOrEqual(held)
    }),
  )
})

test('a price is the exact row of the model and the day; a prefix is none', () => {
  const row = (model: string, effectiveFrom: string, input: bigint): ModelPrice => ({
    model,
    effectiveFrom,
    promptTokensMax: null,
    input,
    output: 0n,
    cacheRead: 0n,
    cacheWrite5m: 0n,
    cacheWrite1h: 0n,
  })
  const table = [row('m-5', '2026-01-01', 1n), row('m-5', '2026-06-01', 2n), row('m-5', '2027-01-01', 3n)]
  expect(rowsOf(table, 'm-5-5', '2026-11-24')).toEqual([])
  expect(rowsOf(table, 'm-5', '2026-11-24').map((each) => each.input)).toEqual([2n])
})

test('amounts are shown with two to six decimals', () => {
  expect([2_800n, 0n, 1_000_000n, 10n, 123_456n].map((amount) => formatUsd(micros(amount)))).toEqual([
    '$0.0028',
    '$0.00',
    '$1.00',
    '$0.00001',
    '$0.123456',
  ])
})
