// Amounts: exact integers, one rounding, one display form.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ceilToMicros, formatUsd, micros, microsMax, parseMicros, picos, roundHalfUp } from '../../domain/money.ts'

test.each(['', '-1', '01', '1.0', '1e3', ' 1', '+1', '9223372036854775808', '99999999999999999999', '١'])(
  'the text %j is no amount',
  (text) => {
    expect(parseMicros(text)).toBeUndefined()
  },
)

test('an amount outside the ledger is a bug', () => {
  expect(() => micros(microsMax + 1n)).toThrow('fits the ledger')
  expect(() => roundHalfUp(picos(-1n))).toThrow('not negative')
})

test.each([
  [0n, '$0.00'],
  [2_800n, '$0.0028'],
  [1_000_000n, '$1.00'],
  [1_230_000n, '$1.23'],
  [1n, '$0.000001'],
  [10_500_000n, '$10.50'],
  [-2_800n, '-$0.0028'],
])('%s micro-USD are shown as %s', (amount, text) => {
  expect(formatUsd(micros(amount))).toBe(text)
})

test('rounding is half up, reserving is up, and they differ by less than one', () => {
  expect(roundHalfUp(picos(500_000n))).toBe(1n)
  expect(roundHalfUp(picos(499_999n))).toBe(0n)
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), (value) => {
      const rounded = roundHalfUp(picos(value))
      const ceiling = ceilToMicros(picos(value))
      expect(ceiling - rounded === 0n || ceiling - rounded === 1n).toBe(true)
      expect(ceiling * 1_000_000n).toBeGreaterThanOrEqual(value)
    }),
  )
})

test('what was parsed is written as it was', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: microsMax }), (value) => {
      expect(parseMicros(value.toString())?.toString()).toBe(value.toString())
    }),
  )
})
