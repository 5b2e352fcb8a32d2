// The YAML form with its faults, and what the rules of a new installation mean.
import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { compilePolicy } from '../../config/policy/compile.ts'
import { PolicyError } from '../../config/policy/yaml.ts'
import { decide, policySet, type PolicySet } from '../../domain/policy/combine.ts'
import { phases, type Action, type Phase, type Policy } from '../../domain/policy/rule.ts'
import type { Principal, Role } from '../../domain/principal.ts'
import { effectClasses, type EffectClass } from '../../domain/tool.ts'
import { compileCondition } from '../../gateway/expression/compile.ts'
import { personWith } from './fixture.ts'

const path = 'policy/default.yaml'
let text: string
let policy: PolicySet

beforeAll(async () => {
  text = await readFile(path, 'utf8')
  policy = setOf(compile(path, text))
})

const compile = (name: string, content: string) => compilePolicy(name, content, compileCondition)
const setOf = (...policies: Policy[]) =>
  policySet({ policyId: 'default', version: 1, epoch: 1, rules: policies.flatMap(({ rules }) => rules) })

const person = personWith({})
const throughAgent = personWith({ actorChain: [{ kind: 'agent', id: 'assistant' }] })

type Asked = {
  readonly name?: string
  readonly phase?: Phase
  readonly action?: Action
  readonly owner?: string | null
}

const onTool = (principal: Principal, effectClass: EffectClass, asked: Asked = {}) => {
  const { name = 'workbench/note', phase = 'call', action = 'tool.call', owner = principal.wallet } = asked
  const resource = { kind: 'tool', name, effectClass, owner } as const
  return decide(policy, { principal, session: null, action, resource, facts: { phase, arguments: {} } })
}

const faultsOf = (bad: string): readonly string[] => {
  try {
    compile('p.yaml', bad)
    return []
  } catch (error) {
    return error instanceof PolicyError ? error.faults : [String(error)]
  }
}

const header = 'policy: mine\nversion: 1\n'
const rule = (fields: string) => `${header}rules:\n  - { id: r1, reason: why, ${fields} }\n`

test.each([
  ['no YAML', 'rules: [', /^p\.yaml:\d+: /],
  ['no object', '- 1', /^p\.yaml:\d+: /],
  ['no version', 'policy: mine\nrules: []', /p\.yaml:\d+: version: /],
  ['an unknown member', `${header}rules: []\nmore: 1`, /p\.yaml:\d+: .*more/],
  ['an unknown effect', rule('effect: maybe'), /p\.yaml:\d+: rule r1: effect: /],
  [
    'a burst of a day',
    rule('effect: limit, limit: { meter: calls-per-day, amount: 5, burst: 9 }'),
    /p\.yaml:4: rule r1: effect: calls of a day have no burst/,
  ],
  ['a condition on no fact', rule('effect: allow, when: now'), /p\.yaml:4: rule r1: when: reads now, which is no fact/],
  ['an unknown member of a rule', rule('effect: allow, if: now'), /p\.yaml:4: rule r1: .*if/],
  ['an unknown action', rule('effect: allow, actions: [tool.call, tool.fly]'), /rule r1: actions\.1: /],
  ['an unknown class', rule('effect: allow, classes: [mild]'), /rule r1: classes\.0: /],
  ['an empty list', rule('effect: allow, roles: []'), /rule r1: roles: /],
  ['a star inside a pattern', rule('effect: allow, resources: ["tool:*/get"]'), /rule r1: resources\.0: /],
  ['a wallet that is none', rule('effect: allow, wallets: ["0x12"]'), /rule r1: wallets\.0: /],
  ['an obligation nobody fulfils', rule('effect: redact'), /rule r1: effect: /],
  ['a rule without id', `${header}rules:\n  - { effect: allow, reason: why }`, /p\.yaml:\d+: rule number 1: id: /],
])('refuses a policy with %s', (_title, bad, fault) => {
  expect(faultsOf(bad).join('\n')).toMatch(fault)
})

test('refuses a policy with all its faults at once', () => {
  const bad = `${header}rules:
    - { id: one, reason: why, effect: allow, phases: [never] }
    - { id: one, reason: '', effect: allow }`
  expect(faultsOf(bad)).toEqual([
    expect.stringMatching(/^p\.yaml:\d+: rule one: phases\.0: /),
    expect.stringMatching(/^p\.yaml:\d+: rule one: reason: /),
    'p.yaml:5: rule one: id: one is used twice',
  ])
})

test('compiles each effect, in both phases unless said otherwise', () => {
  const set = compile('p.yaml', rule('effect: never'))
  expect(set).toMatchObject({ policyId: 'mine', version: 1 })
  expect(set.rules[0]).toMatchObject({
    effect: { kind: 'deny', hard: true },
    phases: ['list', 'call'],
    source: 'p.yaml:4',
  })
  const address = `0x${'AB'.repeat(20)}`
  const named = compile('p.yaml', rule(`effect: require-approval, wallets: ["${address}"]`)).rules[0]
  expect(named?.effect).toEqual({ kind: 'require', requirement: 'approval' })
  expect(named?.match).toEqual({ wallets: [address.toLowerCase()] })
})

test('destructive is never allowed: for nobody, in no phase, by no other rule', () => {
  const anyone = fc.record({
    roles: fc.subarray<Role>(['owner', 'approver', 'admin', 'operator']),
    actorChain: fc.constantFrom([], [{ kind: 'agent' as const, id: 'assistant' }]),
    assurance: fc.constantFrom(0, 1, 2, 3),
  })
  const anyPhase = fc.constantFrom(...phases)
  const anyAction = fc.constantFrom<Action>('tool.call', 'tool.list', 'model.call', 'chat.submit', 'codec.decode')
  const generous = compile('more.yaml', rule('effect: allow, phases: [list, call, prompt, response, exchange, stream]'))
  const set = setOf(generous, { ...policy, notEnforced: [] })
  fc.assert(
    fc.property(anyone, anyPhase, anyAction, ({ assurance, ...over }, phase, action) => {
      const principal = personWith({ ...over, assurance })
      const resource = { kind: 'tool', name: 'a/b', effectClass: 'destructive', owner: principal.wallet } as const
      const question = { principal, session: null, action, resource, facts: { phase, arguments: {} } }
      expect(decide(set, question)).toMatchObject({ kind: 'deny', hard: true })
    }),
    { numRuns: 500 },
  )
})

test('a write by an agent waits for a person', () => {
  expect(onTool(throughAgent, 'write')).toMatchObject({
    kind: 'require',
    requirement: 'approval',
    ruleIds: ['agent-writes-need-approval'],
  })
})

test('a write by a person is denied until a rule names tool and person', () => {
  expect(onTool(person, 'write')).toMatchObject({ kind: 'deny', hard: false, ruleIds: [] })
  const example = text
    .slice(text.indexOf('  # - id: maintainer'))
    .replace(/^ {2}# /gm, '  ')
    .replace('0x…', person.wallet)
  const set = setOf(compile(path, `${text.slice(0, text.indexOf('  # A named'))}${example}`))
  const ask = (principal: Principal, name: string) => {
    const resource = { kind: 'tool', name, effectClass: 'write', owner: principal.wallet } as const
    const question = {
      principal,
      session: null,
      action: 'tool.call',
      resource,
      facts: { phase: 'call', arguments: {} },
    } as const
    return decide(set, question).kind
  }
  expect(ask(person, 'workbench/write_note')).toBe('allow')
  expect(ask(person, 'workbench/other_note')).toBe('deny')
  expect(ask(throughAgent, 'workbench/write_note')).toBe('require')
  expect(ask(personWith({ wallet: `0x${'cc'.repeat(20)}` }), 'workbench/write_note')).toBe('deny')
})

test('reads, models, sessions and chats serve their owner only', () => {
  for (const principal of [person, throughAgent]) {
    expect(onTool(principal, 'read').kind).toBe('allow')
    expect(onTool(principal, 'read', { owner: 'somebody else' }).kind).toBe('deny')
    for (const action of ['model.call', 'chat.submit', 'session.create'] as const) {
      expect(onTool(principal, 'read', { action }).kind).toBe('allow')
      expect(onTool(principal, 'read', { action, owner: null }).kind).toBe('deny')
    }
  }
})

test('only operators decode', () => {
  const operator = personWith({ roles: ['operator'] })
  expect(onTool(person, 'read', { action: 'codec.decode', owner: null }).kind).toBe('deny')
  expect(onTool(operator, 'read', { action: 'codec.decode', owner: null }).kind).toBe('allow')
})

const anyPrincipal = [person, throughAgent, personWith({ roles: [] }), personWith({ roles: ['operator'] })]

test.each(anyPrincipal.flatMap((principal) => effectClasses.map((effectClass) => ({ principal, effectClass }))))(
  'a list shows a $effectClass tool exactly when its call would not be refused outright',
  ({ principal, effectClass }) => {
    for (const owner of [principal.wallet, 'somebody else']) {
      const shown = onTool(principal, effectClass, { phase: 'list', action: 'tool.list', owner }).kind === 'allow'
      const owned = owner === principal.wallet
      expect(shown).toBe(owned && onTool(principal, effectClass, { owner }).kind !== 'deny')
    }
  },
)
