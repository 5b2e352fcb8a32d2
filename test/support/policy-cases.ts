// Generated rules and questions. Few values of each kind, so that they meet: a uniform generator would make rules that
// speak of nothing.
import fc from 'fast-check'
import type { Condition, Question, Rule, RuleEffect, RuleMatch } from '../../domain/policy/rule.ts'
import { meters } from '../../domain/policy/rule.ts'
import { effectClasses } from '../../domain/tool.ts'
import { personWith, ruleOf } from '../gateway/fixture.ts'

const [mine, theirs] = ['0x00000000000000000000000000000000000000aa', '0x00000000000000000000000000000000000000bb']

const toolPatterns = [
  { server: 'notes', tool: 'get_note' },
  { server: 'notes', tool: '*' },
  { server: '*', tool: '*' },
  { server: '*', tool: 'get_*' },
  { server: 'NOTES', tool: '*_note', version: '2.*' },
  { server: 'notes', tool: 'get_*', version: '2.*' },
  { server: 'other', tool: 'get', version: '2.1' },
]

// Rarer: they are there for the shelves that patterns stand on.
const wildPatterns = [
  { server: '*', tool: 'GET' },
  { server: 'n*', tool: '*_NOTE' },
  { server: '*', tool: '*t_n*' },
  { server: '*', tool: 'g*e' },
  { server: '*', tool: 'get_*' },
]

const some = <T>(...values: T[]) => fc.subarray(values, { minLength: 1 })
const conditions = {
  actions: some('tool.call' as const, 'tool.list' as const),
  resources: some('tool:notes/get_note', 'tool:notes/*', 'tool:*', 'tool:other/get', 'model:*', 'tool:no*', 'to*', '*'),
  tools: fc.oneof({ weight: 4, arbitrary: some(...toolPatterns) }, { weight: 1, arbitrary: some(...wildPatterns) }),
  exceptTools: some(...toolPatterns),
  classes: some(...effectClasses),
  actors: fc.constantFrom('some' as const, 'none' as const),
  agents: some('a', 'B'),
  subjects: some(mine.toUpperCase(), theirs),
  wallets: some(mine, theirs),
  tenants: some('t1', 't2'),
  roles: some('Owner', 'operator'),
  scopes: some('mcp:read', 'mcp:write'),
  owner: fc.boolean(),
} satisfies { readonly [K in keyof Required<RuleMatch>]: fc.Arbitrary<unknown> }
const conditionNames = Object.keys(conditions) as (keyof typeof conditions)[]

// Up to two conditions: rules with more of them hardly ever match.
const anyMatch: fc.Arbitrary<RuleMatch> = fc
  .tuple(fc.record(conditions), fc.subarray(conditionNames, { maxLength: 2 }))
  .map(([all, names]): RuleMatch => Object.fromEntries(names.map((name) => [name, all[name]])))

const anyEffect: fc.Arbitrary<RuleEffect> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<RuleEffect>({ kind: 'allow' }) },
  { weight: 1, arbitrary: fc.boolean().map((hard): RuleEffect => ({ kind: 'deny', hard })) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('approval', 'step-up', 'assurance'), fc.constantFrom(1, 2, 3))
      .map(([requirement, assurance]): RuleEffect =>
        requirement === 'assurance' ? { kind: 'require', requirement, assurance } : { kind: 'require', requirement },
      ),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        meter: fc.constantFrom(...meters.slice(0, 2)),
        amount: fc.constantFrom(1, 2, 3),
        per: fc.constantFrom('human', 'tenant-tool'),
        rank: fc.constantFrom('tool', 'plan', 'default'),
        burst: fc.constantFrom(undefined, 1, 2, 4),
      })
      .map(({ burst, ...limit }): RuleEffect => ({
        kind: 'limit',
        ...limit,
        ...(burst === undefined ? {} : { burst }),
      })),
  },
)

const anyCondition = fc.constantFrom<(Condition | undefined)[]>(
  undefined,
  undefined,
  undefined,
  { text: 'yes', holds: () => true },
  { text: 'risky', holds: ({ session }) => (session === null ? 'error' : session.risk > 50) },
  { text: 'no', holds: () => false },
  {
    text: 'tool.name == "get_note"',
    toolNames: ['get_note'],
    holds: ({ resource }) => resource.kind === 'tool' && resource.name.split('/')[1] === 'get_note',
  },
)

const anyRule = fc.record({
  match: anyMatch,
  effect: anyEffect,
  phases: fc.constantFrom<Rule['phases'][]>(['call'], ['list', 'call'], ['list']),
  when: anyCondition,
  mode: fc.constantFrom<Rule['mode'][]>('enforce', 'enforce', 'enforce', 'observe'),
})

/** Up to ten rules of two files, whose names meet. */
export const anyRules: fc.Arbitrary<Rule[]> = fc.array(anyRule, { maxLength: 10 }).map((rules) =>
  rules.map(({ match, effect, when, ...rest }, n) => ({
    ...ruleOf(`r${n >> 1}`, effect, match),
    ...(n % 2 === 0 ? {} : { policyId: 'other' }),
    ...rest,
    ...(when === undefined ? {} : { when }),
    ...(effect.kind === 'limit' ? { mode: 'enforce' as const } : {}),
  })),
)

export const anyDeny: fc.Arbitrary<Rule> = fc
  .tuple(anyMatch, fc.boolean(), anyCondition)
  .map(([match, hard, when]) => ({
    ...ruleOf('added', { kind: 'deny', hard }, match),
    ...(when === undefined ? {} : { when }),
  }))

export const anyQuestion: fc.Arbitrary<Question> = fc
  .record({
    wallet: fc.constantFrom(mine, theirs),
    tenant: fc.constantFrom('t1', 't2', 't3'),
    roles: fc.subarray(['owner', 'operator'] as const),
    scopes: fc.subarray(['mcp:read', 'mcp:write']),
    actorChain: fc.constantFrom<{ kind: 'agent'; id: string }[][]>(
      [],
      [{ kind: 'agent', id: 'a' }],
      [
        { kind: 'agent', id: 'c' },
        { kind: 'agent', id: 'b' },
      ],
    ),
    assurance: fc.constantFrom(1 as const, 2 as const, 3 as const),
    action: fc.constantFrom('tool.call' as const, 'tool.list' as const),
    name: fc.constantFrom('notes/get_note', 'notes/write', 'other/get', 'Notes/Get_Note'),
    kind: fc.constantFrom('tool' as const, 'tool' as const, 'tool' as const, 'model' as const),
    version: fc.constantFrom(null, '2.1', '20.1'),
    risk: fc.constantFrom(null, 0, 51),
    effectClass: fc.constantFrom(...effectClasses),
    owner: fc.constantFrom(mine, theirs, null),
    phase: fc.constantFrom('list' as const, 'call' as const),
  })
  .map(({ action, kind, name, effectClass, owner, phase, version, risk, ...person }) => ({
    principal: personWith({ ...person, subject: { kind: 'human', id: person.wallet } }),
    session: risk === null ? null : { id: 's', risk },
    action,
    resource: { kind, name, effectClass, owner },
    facts: { phase, arguments: null, tool: { version, schemaSha256: null } },
  }))
