// Prices: the table of the contract, tiers by prompt size, reservations that bound, postings that sum to one rounding.
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { offeredPrices, parsePrices, resolveModel } from '../../config/prices.ts'
import { picos, roundHalfUp } from '../../domain/money.ts'
import { baseCost, modelReservation, noUsage, planCost, plans, rowsOf, stepPosting } from '../../domain/pricing.ts'

const file = readFileSync(new URL('../../policy/prices.yaml', import.meta.url), 'utf8')
const table = parsePrices(file)
const day = '2026-11-24'

test('a model that is not in the table has no price, whatever it begins with', () => {
  for (const name of [
    'claude-sonnet',
    'claude-sonnet-5-5-preview',
    'claude-haiku-4',
    'nothing-9',
    '',
    '__proto__',
    'constructor',
  ]) {
    expect(resolveModel(table, name)).toBeUndefined()
  }
})

test('a table with a float, an unknown key or an alias to nowhere is refused', () => {
  expect(() => parsePrices(file.replace('input: "8"', 'input: 8'))).toThrow('prices')
  expect(() => parsePrices(file.replace('source:', 'sauce: x\nsource:'))).toThrow('prices')
  expect(() => parsePrices(file.replace('haiku: claude-haiku-5-5', 'haiku: claude-haiku-9'))).toThrow('alias haiku')
})

test.each([
  ['no row for long prompts', /.*models: \[claude-haiku-5-5\].*input: "0\.50".*\n/, '', 'claude-haiku-5-5'],
  ['two rows without an end', 'promptTokensMax: 100000, ', '', 'claude-haiku-5-5'],
  ['a price that a plan cannot take a percentage of', 'input: "8"', 'input: "8.00001"', 'decimal'],
] as const)('a table with %s is refused', (...[, from, to, named]) => {
  const text = file.replace(from, to)
  expect(text).not.toBe(file)
  expect(() => parsePrices(text)).toThrow(named)
})

test('a row does not hold before its day', () => {
  expect(rowsOf(table.rows, 'claude-haiku-4-5', '2026-10-06')).toEqual([])
  expect(rowsOf(table.rows, 'claude-haiku-4-5', '2026-10-07')).toHaveLength(1)
})

test('with the scripted model short names lead to it; with a vendor it does not exist', () => {
  expect(resolveModel(offeredPrices(table, 'scripted'), 'opus')).toBe('scripted-1')
  expect(resolveModel(offeredPrices(table, 'anthropic'), 'opus')).toBe('claude-opus-5-5')
  expect(resolveModel(offeredPrices(table, 'anthropic'), 'scripted-1')).toBeUndefined()
})

// Base in tenths of a micro-USD, because bases have decimals; then what each plan charges.
test.each([
  { tenths: 180_000n, calls: 2, byok: 2_800n, managed: 21_700n },
  { tenths: 123_450n, calls: 3, byok: 2_735n, managed: 15_697n },
  { tenths: 0n, calls: 1, byok: 500n, managed: 500n },
  { tenths: 10n, calls: 0, byok: 0n, managed: 1n },
  { tenths: 40n, calls: 0, byok: 0n, managed: 5n },
  { tenths: 50n, calls: 0, byok: 1n, managed: 6n },
  { tenths: 6n, calls: 0, byok: 0n, managed: 1n },
  { tenths: 9_999_997n, calls: 7, byok: 103_500n, managed: 1_153_500n },
])('a base of $tenths tenths with $calls tool calls costs $byok with an own key, $managed otherwise', (row) => {
  const base = picos(row.tenths * 100_000n)
  expect(roundHalfUp(planCost(plans.byok, base, row.calls))).toBe(row.byok)
  expect(roundHalfUp(planCost(plans.managed, base, row.calls))).toBe(row.managed)
})

// Tokens at the published rates, in micro-USD a token: input, output, cache read, cache write for 5 minutes, for an hour.
test.each([
  ['claude-haiku-4-5', { inputTokens: 1_000 }, 1_000n],
  ['claude-haiku-4-5', { outputTokens: 1_000 }, 5_000n],
  ['claude-haiku-4-5', { cacheReadTokens: 1_000 }, 100n],
  ['claude-haiku-4-5', { cacheWrite5mTokens: 1_000 }, 1_250n],
  ['claude-haiku-4-5', { cacheWrite1hTokens: 1_000 }, 2_000n],
  ['claude-opus-5-5', { inputTokens: 1_000, outputTokens: 100, cacheReadTokens: 500 }, 6_100n],
] as const)('%s bills each kind of token at its own rate (%#)', (name, used, expected) => {
  expect(roundHalfUp(baseCost(rowsOf(table.rows, name, day), { ...noUsage, ...used }))).toBe(expected)
})

test('the newest row of a model holds from its day on, and nothing is reserved without one', () => {
  const later = file.replace(
    'rows:',
    'rows:\n  - { models: [claude-opus-5-5], from: 2027-01-01, input: "9", output: "9", cacheRead: "9", cacheWrite5m: "9", cacheWrite1h: "9" }',
  )
  const { rows } = parsePrices(later)
  const costOn = (date: string) =>
    roundHalfUp(baseCost(rowsOf(rows, 'claude-opus-5-5', date), { ...noUsage, inputTokens: 1 }))
  expect([costOn('2026-12-31'), costOn('2027-01-01')]).toEqual([4n, 9n])
  expect(() => modelReservation([], plans.managed, { inputTokens: 1, outputTokens: 1 })).toThrow('priced model')
})

test('the minimum balance of the policy is an amount of dollars', () => {
  const priced = parsePrices(file.replace('minimumBalance: "0"', 'minimumBalance: "0.05"'))
  expect([table.minimumBalanceMicros, priced.minimumBalanceMicros]).toEqual([0n, 50_000n])
  expect(() => parsePrices(file.replace('minimumBalance: "0"', 'minimumBalance: 0.05'))).toThrow('prices')
})

test('a tier is chosen by the whole prompt, cache included', () => {
  const rows = rowsOf(table.rows, 'claude-haiku-5-5', day)
  const small = baseCost(rows, { ...noUsage, inputTokens: 100_000 })
  const large = baseCost(rows, { ...noUsage, inputTokens: 100_000, cacheReadTokens: 1 })
  expect(small).toBe(100_000n * 100_000n)
  expect(large).toBe(100_000n * 500_000n + 50_000n)
})

const usage = fc.record({
  inputTokens: fc.nat(200_000),
  outputTokens: fc.nat(8_000),
  cacheReadTokens: fc.nat(50_000),
  cacheWrite5mTokens: fc.nat(50_000),
  cacheWrite1hTokens: fc.nat(50_000),
})
const model = fc.constantFrom(...new Set(table.rows.map((row) => row.model)))

test('a call within its bounds never costs more than its reservation', () => {
  fc.assert(
    fc.property(model, usage, (name, used) => {
      const rows = rowsOf(table.rows, name, day)
      const inputTokens = used.inputTokens + used.cacheReadTokens + used.cacheWrite5mTokens + used.cacheWrite1hTokens
      const cost = roundHalfUp(planCost(plans.managed, baseCost(rows, used), 0))
      expect(
        modelReservation(rows, plans.managed, { inputTokens, outputTokens: used.outputTokens }),
      ).toBeGreaterThanOrEqual(cost)
    }),
  )
})

test('the postings of a turn sum to its cost, rounded once', () => {
  fc.assert(
    fc.property(fc.array(fc.bigInt({ min: 0n, max: 10n ** 13n }), { maxLength: 40 }), (steps) => {
      let total = 0n
      let posted = 0n
      for (const step of steps) {
        const posting = stepPosting(picos(total), picos(total + step))
        expect(posting).toBeGreaterThanOrEqual(0n)
        posted += posting
        total += step
      }
      expect(posted).toBe(roundHalfUp(picos(total)))
    }),
  )
})
