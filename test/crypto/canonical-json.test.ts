// Canonical JSON against the examples of RFC 8785.
import { expect, test } from 'vitest'
import { canonicalJson } from '../../crypto/portable/canonical-json.ts'

test.each([
  ['undefined', undefined],
  ['a bigint', 1n],
  ['a function', () => 1],
  ['a symbol', Symbol('x')],
  ['NaN', Number.NaN],
  ['infinity', [Number.POSITIVE_INFINITY]],
  ['a lone surrogate', 'a\ud800'],
  ['a lone surrogate as a name', { '\udc00': 1 }],
  ['an undefined element', [undefined]],
])('%s has no canonical form', (_name, value) => {
  expect(() => canonicalJson(value)).toThrow(TypeError)
})

test('members are sorted by UTF-16 code units (RFC 8785 §3.2.3)', () => {
  const value = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\ufb33': 'Hebrew Letter Dalet With Dagesh',
    '1': 'One',
    '\ud83d\ude00': 'Emoji: Grinning Face',
    '\u0080': 'Control',
    '\u00f6': 'Latin Small Letter O With Diaeresis',
  }
  const names = [...canonicalJson(value).matchAll(/:"([^"]+)"/g)].map(([, name]) => name)
  expect(names).toEqual([
    'Carriage Return',
    'One',
    'Control',
    'Latin Small Letter O With Diaeresis',
    'Euro Sign',
    'Emoji: Grinning Face',
    'Hebrew Letter Dalet With Dagesh',
  ])
})

test('numbers, literals and strings are written as RFC 8785 §3.2.2 writes them', () => {
  const value = {
    // oxlint-disable-next-line no-loss-of-precision -- the example of RFC 8785, which is about just that
    numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 0.000000000000000000000000001, -0],
    string: '\u20ac$\u000f\u000aA\'\u0042\u0022\u005c\\"/',
    literals: [null, true, false],
    absent: undefined,
  }
  expect(canonicalJson(value)).toBe(
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27,0],' +
      '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  )
})
