// decide(): its order of effects, and what must hold for any set of rules.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide } from '../../domain/policy/combine.ts'
import { covers } from '../../domain/policy/pattern.ts'
import type { Question, Rule, RuleEffect, RuleMatch } from '../../domain/policy/rule.ts'
import { effectClasses } from '../../domain/tool.ts'
import { personWith, policyOf, ruleOf } from '../gateway/fixture.ts'

const [mine, theirs] = ['0x00000000000000000000000000000000000000aa', '0x00000000000000000000000000000000000000bb']

const question = (over: Partial<Question> = {}): Question => ({
  principal: personWith({}),
  session: null,
  action: 'tool.call',
  resource: { kind: 'tool', name: 'notes/get_note', effectClass: 'read', owner: mine },
  facts: { phase: 'call', arguments: null },
  ...over,
})

// Few values, so that generated rules and questions meet.
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined, freq: 2 })
const some = <T>(...values: T[]) => optional(fc.subarray(values, { minLength: 1 }))
const present = (match: Record<string, unknown>): RuleMatch =>
  Object.fromEntries(Object.entries(match).filter(([, value]) => value !== undefined))

const anyMatch = fc
  .record({
    actions: some('tool.call' as const, 'tool.list' as const),
    resources: some('tool:notes/get_note', 'tool:notes/*', 'tool:*', 'tool:other/get'),
    classes: some(...effectClasses),
    actors: optional(fc.constantFrom('some' as const, 'none' as const)),
    wallets: some(mine, theirs),
    tenants: some('t1', 't2'),
    roles: some('owner', 'operator'),
    owner: optional(fc.boolean()),
  })
  .map(present)

const anyEffect = fc.constantFrom<RuleEffect>(
  { kind: 'allow' },
  { kind: 'allow' },
  { kind: 'deny', hard: false },
  { kind: 'deny', hard: true },
  { kind: 'require', requirement: 'approval' },
  { kind: 'require', requirement: 'assurance', assurance: 2 },
  { kind: 'limit', meter: 'requests-per-minute', amount: 5, per: 'human', rank: 'default' },
)

const anyRules = fc
  .array(fc.tuple(anyMatch, anyEffect, fc.constantFrom<Rule['phases']>(['call'], ['list', 'call'], ['list'])), {
    maxLength: 8,
  })
  .map((rules) => rules.map(([match, effect, phases], n) => ({ ...ruleOf(`r${n}`, effect, match), phases })))

const anyQuestion = fc
  .record({
    wallet: fc.constantFrom(mine, theirs),
    tenant: fc.constantFrom('t1', 't2'),
    roles: fc.subarray(['owner', 'operator'] as const),
    actorChain: fc.constantFrom([], [{ kind: 'agent' as const, id: 'a' }]),
    assurance: fc.constantFrom(1 as const, 2 as const),
    action: fc.constantFrom('tool.call' as const, 'tool.list' as const),
    name: fc.constantFrom('notes/get_note', 'notes/write', 'other/get'),
    effectClass: fc.constantFrom(...effectClasses),
    owner: fc.constantFrom(mine, theirs, null),
    phase: fc.constantFrom('list' as const, 'call' as const),
  })
  .map(({ action, name, effectClass, owner, phase, ...person }) =>
    question({
      principal: personWith(person),
      action,
      resource: { kind: 'tool', name, effectClass, owner },
      facts: { phase, arguments: null },
    }),
  )

const anyDeny = fc.tuple(anyMatch, fc.boolean()).map(([match, hard]) => ruleOf('added', { kind: 'deny', hard }, match))

const rank = { deny: 0, require: 1, allow: 2 } as const

test('denies what no rule allows, and names no rule', () => {
  expect(decide(policyOf(), question())).toMatchObject({ kind: 'deny', hard: false, ruleIds: [] })
})

test.each([
  [
    'a hard deny beats a deny',
    [
      { kind: 'deny', hard: false },
      { kind: 'deny', hard: true },
    ],
    'deny',
    ['r1'],
  ],
  [
    'a deny beats a requirement',
    [
      { kind: 'require', requirement: 'approval' },
      { kind: 'deny', hard: false },
    ],
    'deny',
    ['r1'],
  ],
  [
    'a requirement beats an allow',
    [{ kind: 'allow' }, { kind: 'require', requirement: 'approval' }],
    'require',
    ['r1'],
  ],
  ['two allows are both named', [{ kind: 'allow' }, { kind: 'allow' }], 'allow', ['r0', 'r1']],
] as const)('%s', (...[, effects, kind, ruleIds]) => {
  const rules = effects.map((effect, n) => ruleOf(`r${n}`, effect))
  expect(decide(policyOf(...rules), question())).toMatchObject({
    kind,
    ruleIds,
    policyId: 'test',
    version: 3,
    epoch: 7,
  })
})

test('an assurance is met by the credential; an approval never is', () => {
  const wants = (requirement: 'approval' | 'assurance') =>
    policyOf(ruleOf('allow', { kind: 'allow' }), ruleOf('want', { kind: 'require', requirement, assurance: 2 }))
  const strong = question({ principal: personWith({ assurance: 3 }) })
  expect(decide(wants('assurance'), question()).kind).toBe('require')
  expect(decide(wants('assurance'), strong).kind).toBe('allow')
  expect(decide(wants('approval'), strong).kind).toBe('require')
})

test('of several requirements the strongest is named', () => {
  const rules = (['assurance', 'approval', 'step-up'] as const).map((requirement, n) =>
    ruleOf(`r${n}`, { kind: 'require', requirement }),
  )
  expect(decide(policyOf(...rules), question())).toMatchObject({ requirement: 'approval', ruleIds: ['r1', 'r2', 'r0'] })
})

test('a pattern is exact or ends in a star', () => {
  expect(covers('tool:a/get', 'tool:a/get_all')).toBe(false)
  expect(covers('tool:a/*', 'tool:ab/get')).toBe(false)
  expect(covers('tool:a/*', 'tool:a/get')).toBe(true)
})

test('adding a deny never widens access', () => {
  fc.assert(
    fc.property(anyRules, anyDeny, anyQuestion, (rules, deny, asked) => {
      const before = decide(policyOf(...rules), asked)
      const after = decide(policyOf(...rules, deny), asked)
      expect(rank[after.kind]).toBeLessThanOrEqual(rank[before.kind])
    }),
    { numRuns: 2_000 },
  )
})

test('the order of rules never matters', () => {
  fc.assert(
    fc.property(
      anyRules.chain((rules) => fc.tuple(fc.constant(rules), fc.shuffledSubarray(rules, { minLength: rules.length }))),
      anyQuestion,
      ([rules, shuffled], asked) => {
        expect(decide(policyOf(...shuffled), asked)).toEqual(decide(policyOf(...rules), asked))
      },
    ),
    { numRuns: 2_000 },
  )
})

test('an allow needs an allowing rule that matches', () => {
  fc.assert(
    fc.property(anyRules, anyQuestion, (rules, asked) => {
      const withoutAllows = rules.filter((rule) => rule.effect.kind !== 'allow')
      expect(decide(policyOf(...withoutAllows), asked).kind).not.toBe('allow')
    }),
    { numRuns: 500 },
  )
})
