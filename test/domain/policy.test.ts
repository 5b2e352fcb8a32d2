import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compilePolicy } from '../../config/policy.ts'
import { decide, type PolicySet, type Question } from '../../domain/policy/combine.ts'
import type { Principal } from '../../domain/principal.ts'
import { classifyTool, effectClasses, type EffectClass } from '../../domain/tool.ts'
import { firstRevoked, mergeGates } from '../../domain/revocation.ts'
import { permits } from '../../domain/permission.ts'
import { readPolicy } from '../../workers/files.ts'

const wallet = '0x00000000000000000000000000000000000000aa'

const principal = (agent: boolean, roles: Principal['roles'] = ['owner']): Principal => ({
  tenant: wallet,
  subject: { kind: 'human', id: wallet },
  wallet,
  walletId: 1n,
  actorChain: agent ? [{ kind: 'agent', id: 'assistant' }] : [],
  scopes: [],
  roles,
  permissions: ['*:*'],
  proof: { kind: 'none' },
  assurance: 1,
  sessionIds: { usid: 'u' },
  gate: [],
  tokenId: 't',
  expiresAt: new Date(),
})

const call = (effectClass: EffectClass, agent: boolean, owner: string | null = wallet): Question => ({
  principal: principal(agent),
  session: null,
  action: 'tool.call',
  resource: { kind: 'tool', name: 'workbench/x', effectClass, owner },
  facts: { phase: 'call', arguments: null },
})

test('the default policy: destructive never, agent writes by approval, reads for the owner, nothing for strangers', async () => {
  const policy = await readPolicy()
  expect(decide(policy, call('destructive', true))).toMatchObject({
    kind: 'deny',
    hard: true,
    ruleIds: ['destructive-never'],
  })
  expect(decide(policy, call('destructive', false))).toMatchObject({ kind: 'deny', hard: true })
  expect(decide(policy, call('write', true))).toMatchObject({
    kind: 'require',
    requirement: 'approval',
    ruleIds: ['agent-writes-need-approval'],
  })
  expect(decide(policy, call('write', false))).toMatchObject({ kind: 'deny' })
  expect(decide(policy, call('read', true))).toMatchObject({ kind: 'allow' })
  expect(decide(policy, call('read', true, '0xother'))).toMatchObject({ kind: 'deny' })
})

test('a named write tool may be allowed to a named person, and not to an agent', async () => {
  const base = await readPolicy()
  const rule = `policy: own\nversion: 1\nrules:\n  - { id: maintainer-writes, effect: allow, phases: [call], actions: [tool.call], resources: ["tool:workbench/x"], wallets: ["${wallet}"], actors: none, reason: Mine. }\n`
  const policy: PolicySet = { ...base, rules: [...base.rules, ...compilePolicy('own.yaml', rule, 1).rules] }
  expect(decide(policy, call('write', false))).toMatchObject({ kind: 'allow', ruleIds: ['maintainer-writes'] })
  expect(decide(policy, call('write', true))).toMatchObject({ kind: 'require' })
})

test.each([
  ['an unknown key', 'policy: p\nversion: 1\nrules:\n  - { id: a, effect: allow, reason: x, whatever: 1 }', /whatever/],
  ['an unknown effect', 'policy: p\nversion: 1\nrules:\n  - { id: a, effect: maybe, reason: x }', /effect/],
  [
    'a rule written twice',
    'policy: p\nversion: 1\nrules:\n  - { id: a, effect: allow, reason: x }\n  - { id: a, effect: deny, reason: x }',
    /twice/,
  ],
  [
    'a bad pattern',
    'policy: p\nversion: 1\nrules:\n  - { id: a, effect: allow, reason: x, resources: ["*"] }',
    /kind:name/,
  ],
])('a policy with %s is refused with file and place', (_what, text, fault) => {
  expect(() => compilePolicy('bad.yaml', text, 1)).toThrow(fault)
  expect(() => compilePolicy('bad.yaml', text, 1)).toThrow(/bad\.yaml/)
})

const ruleGen = fc.record({
  effect: fc.constantFrom('never', 'deny', 'allow', 'require-approval'),
  classes: fc.option(fc.subarray([...effectClasses], { minLength: 1 })),
  actors: fc.option(fc.constantFrom('some', 'none')),
})
const policyGen = fc.array(ruleGen, { maxLength: 6 }).map((rules) =>
  compilePolicy(
    'gen.yaml',
    JSON.stringify({
      policy: 'gen',
      version: 1,
      rules: rules.map((rule, index) => ({
        id: `r${index}`,
        reason: 'x',
        ...Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== null)),
      })),
    }),
    1,
  ),
)
const questionGen = fc
  .record({ effectClass: fc.constantFrom(...effectClasses), agent: fc.boolean() })
  .map(({ effectClass, agent }) => call(effectClass, agent))

test('adding a deny never widens access, and the order of rules never matters', () => {
  fc.assert(
    fc.property(policyGen, questionGen, ruleGen, (policy, question, extra) => {
      const deny = compilePolicy(
        'd.yaml',
        JSON.stringify({
          policy: 'd',
          version: 1,
          rules: [{ id: 'extra', reason: 'x', effect: 'deny', ...(extra.classes ? { classes: extra.classes } : {}) }],
        }),
        1,
      )
      const before = decide(policy, question)
      const after = decide({ ...policy, rules: [...policy.rules, ...deny.rules] }, question)
      if (before.kind !== 'allow') expect(after.kind).not.toBe('allow')
      expect(decide({ ...policy, rules: policy.rules.toReversed() }, question).kind).toBe(before.kind)
    }),
  )
})

test.each([
  ['get_sum', undefined, {}, 'read'],
  ['deleteUserNote', undefined, {}, 'destructive'],
  ['get_and_purge', undefined, {}, 'destructive'],
  ['send_mail', undefined, {}, 'write'],
  ['send_mail', 'read', {}, 'read'],
  ['get_sum', 'read', { readOnlyHint: false }, 'write'],
  ['send_mail', 'write', { readOnlyHint: true }, 'write'],
  ['get_sum', undefined, { destructiveHint: true }, 'destructive'],
  ['', undefined, {}, 'write'],
] as const)('%s with class %s and hints %j is %s', (name, catalogue, hints, expected) => {
  expect(classifyTool(name, catalogue, hints)).toBe(expected)
})

test('the oldest epoch of a scope wins, and a greater one revokes', () => {
  const gate = mergeGates(
    [{ scope: 'b', epoch: 3 }],
    [
      { scope: 'a', epoch: 0 },
      { scope: 'b', epoch: 1 },
    ],
  )
  expect(gate).toEqual([
    { scope: 'a', epoch: 0 },
    { scope: 'b', epoch: 1 },
  ])
  expect(firstRevoked(gate, (scope) => (scope === 'b' ? 1 : 0))).toBeUndefined()
  expect(firstRevoked(gate, (scope) => (scope === 'b' ? 2 : 0))).toBe('b')
})

test('permissions match by namespace and action, and an empty list never withdraws', () => {
  expect(permits(['chat:*'], 'chat:send')).toBe(true)
  expect(permits(['chat:*'], 'wallet:read')).toBe(false)
  expect(permits(['*:read'], 'wallet:read')).toBe(true)
  expect(permits([], 'chat:send')).toBe(true)
  expect(permits([], 'withdraw:create')).toBe(false)
})
