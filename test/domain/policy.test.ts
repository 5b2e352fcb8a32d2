// decide(): its order of effects, and what must hold for any set of rules.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide, policySet } from '../../domain/policy/combine.ts'
import { candidates, indexRules } from '../../domain/policy/index.ts'
import { explain } from '../../domain/policy/explain.ts'
import { covers, fits } from '../../domain/policy/pattern.ts'
import type { Question, Rule } from '../../domain/policy/rule.ts'
import { personWith, policyOf, ruleOf } from '../gateway/fixture.ts'
import { anyQuestion, anyRules } from '../support/policy-cases.ts'
import { loadMutant, policyMutants } from '../support/policy-mutants.ts'
import { assertPolicyProperties } from '../support/policy-properties.ts'

const mine = '0x00000000000000000000000000000000000000aa'

const question = (over: Partial<Question> = {}): Question => ({
  principal: personWith({}),
  session: null,
  action: 'tool.call',
  resource: { kind: 'tool', name: 'notes/get_note', effectClass: 'read', owner: mine },
  facts: { phase: 'call', arguments: null },
  ...over,
})

const seed = Math.floor(Math.random() * 2 ** 31)

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

test(`decisions equal those of a plain reading of the laws, in any order, and no deny widens access (seed ${seed})`, () => {
  expect(() => assertPolicyProperties({ policySet, decide }, { seed, cases: 5_000 })).not.toThrow()
})

test.each(policyMutants)('the properties notice that $name', async (mutant) => {
  const broken = await loadMutant(mutant)
  expect(() => assertPolicyProperties(broken, { seed: 7, cases: 6_000 })).toThrow(/Property failed/)
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

test('a decision names the policy of the rule that made it, and others by their policy', () => {
  const other = { ...ruleOf('b', { kind: 'allow' }), policyId: 'other', version: 9 }
  const decision = decide(policyOf(ruleOf('a', { kind: 'allow' }), other), question())
  expect(decision).toMatchObject({ policyId: 'test', version: 3, ruleIds: ['a', 'other/b'] })
  expect(decide(policyOf(other), question())).toMatchObject({ policyId: 'other', version: 9, ruleIds: ['b'] })
})

test('an explanation tells what became of each rule that was considered', () => {
  const rules = [
    ruleOf('allow', { kind: 'allow' }),
    ruleOf('deny', { kind: 'deny', hard: false }),
    ruleOf('elsewhere', { kind: 'deny', hard: false }, { resources: ['tool:other/get'] }),
    ruleOf('agents', { kind: 'allow' }, { actors: 'some' }),
    {
      ...ruleOf('risky', { kind: 'deny', hard: false }),
      when: { text: 'session.risk > 1', holds: () => 'error' as const },
    },
    { ...ruleOf('watched', { kind: 'deny', hard: true }), mode: 'observe' as const },
  ]
  const { decision, considered } = explain(policyOf(...rules), question())
  expect(decision).toMatchObject({ kind: 'deny', ruleIds: ['deny', 'risky'] })
  expect(Object.fromEntries(considered.map((each) => [each.ruleId, [each.outcome, each.condition]]))).toEqual({
    allow: ['matched', null],
    deny: ['won', null],
    agents: ['missed', 'actors'],
    risky: ['won', 'session.risk > 1'],
    watched: ['matched', null],
  })
})

test('what only observed rules would refuse is allowed and said', () => {
  const watched = { ...ruleOf('watched', { kind: 'deny' as const, hard: false }), mode: 'observe' as const }
  expect(decide(policyOf(ruleOf('allow', { kind: 'allow' }), watched), question())).toMatchObject({
    kind: 'allow',
    ruleIds: ['allow'],
    observed: { kind: 'deny', ruleIds: ['watched'] },
  })
})

test.each([
  ['get_*', 'get_note', true],
  ['*_note', 'get_note', true],
  ['g*t*e', 'get_note', true],
  ['*a*a', 'a', false],
  ['get_note', 'get_notes', false],
  ['*', '', true],
  ['a**b', 'ab', true],
])('the pattern %s and the name %s: %s', (pattern, name, fit) => {
  expect(fits(pattern, name)).toBe(fit)
})

const aimed: Readonly<Record<string, (n: number) => Rule['match']>> = {
  'a server': (n) => ({ tools: [{ server: `server-${n}`, tool: '*' }] }),
  'a tool': (n) => ({ tools: [{ server: 'notes', tool: `tool_${n}` }] }),
  'a tool of any server': (n) => ({ tools: [{ server: '*', tool: `tool_${n}` }] }),
  'what tools begin with': (n) => ({ tools: [{ server: '*', tool: `tool_${n}_*` }] }),
  'what tools end with': (n) => ({ tools: [{ server: '*', tool: `*_${n}` }] }),
  'a resource': (n) => ({ resources: [`tool:notes/tool_${n}`] }),
  'what resources begin with': (n) => ({ resources: [`tool:no${n}*`] }),
  'a tenant': (n) => ({ tenants: [`t-${n}`] }),
  'a wallet': (n) => ({ wallets: [`0x${n}`] }),
  'a person': (n) => ({ subjects: [`s-${n}`] }),
  'an agent': (n) => ({ agents: [`a-${n}`] }),
  'a role': (n) => ({ roles: [`r-${n}`] }),
  'a scope': (n) => ({ scopes: [`mcp:${n}`] }),
}

test.each(Object.entries(aimed))('a thousand rules about another %s are not looked at', (_name, match) => {
  const rules = Array.from({ length: 1_000 }, (_, n) => ruleOf(`r${n}`, { kind: 'deny', hard: false }, match(n)))
  const index = indexRules([ruleOf('all', { kind: 'allow' }), ...rules])
  const question = {
    principal: personWith({ actorChain: [{ kind: 'agent', id: 'a' }], scopes: ['mcp:read'] }),
    session: null,
    action: 'tool.call',
    resource: { kind: 'tool', name: 'notes/get_note', effectClass: 'read', owner: null },
    facts: { phase: 'call', arguments: null },
  } as const
  expect(candidates(index, question).map(({ id }) => id)).toEqual(['all'])
})
