// Known secrets never come out, however they are encoded and wherever the text is cut into pieces.
import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { redactedSecretsMax } from '../../domain/limits.ts'
import { createRedactor } from '../../domain/redaction.ts'

const value = 'sk-ant/9f+?"ü=2 b'
const redactor = createRedactor([{ name: 'KEY', value }])
const base64At = (before: number) => Buffer.from(`${'x'.repeat(before)}${value}-and-more`).toString('base64')
const middle = (before: number) => base64At(before).slice(Math.ceil((before * 4) / 3), -14)

const forms = {
  plain: value,
  json: JSON.stringify(value).slice(1, -1),
  url: encodeURIComponent(value),
  'url in lower case': encodeURIComponent(value).replaceAll(/%../g, (escape) => escape.toLowerCase()),
  hex: Buffer.from(value).toString('hex'),
  'hex in upper case': Buffer.from(value).toString('hex').toUpperCase(),
  base64: Buffer.from(value).toString('base64').replace(/=+$/, ''),
  base64url: Buffer.from(value).toString('base64url'),
}

test.each(Object.entries(forms))('%s is taken out', (_name, form) => {
  const text = redactor.text(`before ${form} after`)
  expect(text).toMatch(/^before \[REDACTED:KEY\][A-Za-z0-9+/_-]? after$/)
})

test.each([0, 1, 2, 3, 4, 5])('Base64 of more than the secret, %i bytes before it, is taken out', (before) => {
  const text = redactor.text(base64At(before))
  expect(text).toContain('[REDACTED:KEY]')
  expect(text).not.toContain(middle(before))
})

test('what is too short, or too much, is refused by its name alone', () => {
  expect(() => createRedactor([{ name: 'SHORT', value: '1234567' }])).toThrow('The secret SHORT is too short')
  const many = Array.from({ length: redactedSecretsMax + 1 }, (_none, at) => ({
    name: `N${at}`,
    value: `secret-${at}-x`,
  }))
  expect(() => createRedactor(many)).toThrow('More than')
})

test('text without a secret is left as it is, and only what may become one waits', () => {
  const stream = redactor.stream()
  expect(stream.write('all is well, and ')).toBe('all is well, and ')
  expect(stream.write('this is the s')).toBe('this is the ')
  expect(stream.write('k-ant')).toBe('')
  expect(stream.write(' of it')).toBe('sk-ant of it')
  expect(stream.write('s')).toBe('')
  expect(stream.end()).toBe('s')
})

test('half of a secret where the text breaks off counts as the whole, less does not', () => {
  const key = createRedactor([{ name: 'KEY', value: '0123456789' }])
  expect([key.text('a 01234'), key.text('a 0123'), key.text('a 01234.')]).toEqual([
    'a [REDACTED:KEY]',
    'a 0123',
    'a 01234.',
  ])
})

test('secrets that begin or end alike, or overlap, leave nothing of either', () => {
  const both = createRedactor([
    { name: 'SHORT', value: 'abcabcab' },
    { name: 'LONG', value: 'abcabcabcd' },
    { name: 'NEXT', value: 'cdefghij' },
  ])
  expect(both.text('abcabcab.abcabcabcd.abcabcabc!')).toBe('[REDACTED:SHORT].[REDACTED:SHORT].[REDACTED:SHORT]c!')
  expect(both.text('abcabcabcdefghij!')).toBe('[REDACTED:SHORT]!')
})

test('a text that repeats a secret without end holds nothing back without end', () => {
  const ones = createRedactor([{ name: 'ONES', value: '1'.repeat(8) }])
  const stream = ones.stream()
  let out = ''
  for (let round = 0; round < 1_000; round += 1) out += stream.write('1'.repeat(100))
  expect(out + stream.write('.') + stream.end()).toBe('[REDACTED:ONES].')
})

test('members and their names are redacted at any depth, other values stay', () => {
  const told = { [`a ${value}`]: [1, null, true, { deep: value }], none: undefined }
  expect(redactor.json(told)).toEqual({ 'a [REDACTED:KEY]': [1, null, true, { deep: '[REDACTED:KEY]' }] })
  expect(redactor.json('__proto__')).toBe('__proto__')
  expect(Object.keys(redactor.json(JSON.parse('{"__proto__":1}')) as object)).toEqual(['__proto__'])
})

const secrets = Array.from({ length: 50 }, (_none, at) => ({
  name: `SECRET_${at}`,
  value: at % 2 === 0 ? randomBytes(6 + at).toString('base64') : `pass word/${at}+"${randomBytes(4).toString('hex')}"ß`,
}))
const fifty = createRedactor(secrets)
const encodings = [
  (text: string) => text,
  (text: string) => JSON.stringify(text).slice(1, -1),
  encodeURIComponent,
  (text: string) => Buffer.from(text).toString('hex'),
  (text: string) => Buffer.from(text).toString('base64').replace(/=+$/, ''),
]
const said = fc.array(
  fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.record({ at: fc.nat(49), as: fc.nat(encodings.length - 1) }),
    // A beginning that does not go on.
    fc.record({ at: fc.nat(49), as: fc.nat(encodings.length - 1), chars: fc.integer({ min: 1, max: 3 }) }),
  ),
  { maxLength: 12 },
)

test('fifty secrets, random words between them, cut anywhere: none comes out, nothing else changes', () => {
  fc.assert(
    fc.property(said, fc.array(fc.nat(200), { maxLength: 30 }), (parts, cuts) => {
      const formOf = ({ at, as }: { at: number; as: number }) => encodings[as]?.(secrets[at]?.value ?? '') ?? ''
      const whole = parts
        .map((part) =>
          typeof part === 'string' ? part : formOf(part).slice(0, 'chars' in part ? part.chars : undefined),
        )
        .join('\n')
      const places = [...cuts.filter((cut) => cut < whole.length).toSorted((a, b) => a - b), whole.length]
      const stream = fifty.stream()
      let at = 0
      let out = ''
      for (const place of places) {
        out += stream.write(whole.slice(at, place))
        at = place
      }
      out += stream.end()
      expect(out).toBe(fifty.text(whole))
      for (const secret of secrets) for (const encode of encodings) expect(out).not.toContain(encode(secret.value))
      const planted = parts.some((part) => typeof part !== 'string' && !('chars' in part))
      expect(out.includes('[REDACTED:SECRET_')).toBe(planted)
      expect(planted || out === whole).toBe(true)
    }),
    { numRuns: 300 },
  )
})
