// Our own policy form: YAML rules compiled into the one rule form. All faults are reported at once.
import { parse } from 'yaml'
import { z } from 'zod'
import type { PolicySet } from '../domain/policy/combine.ts'
import { phases, type Rule, type RuleEffect } from '../domain/policy/rule.ts'
import { effectClasses } from '../domain/tool.ts'

const actions = [
  'agent.read',
  'session.create',
  'chat.submit',
  'model.call',
  'tool.list',
  'tool.call',
  'codec.decode',
] as const
const pattern = z
  .string()
  .regex(/^(agent|session|model|tool|codec):[^*]*\*?$/, 'must be kind:name, the name may end in *')

const RuleText = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,79}$/),
  reason: z.string().min(1),
  severity: z.enum(['critical', 'high', 'medium', 'low']).default('low'),
  phases: z.array(z.enum(phases)).min(1).default(['list', 'call']),
  actions: z.array(z.enum(actions)).min(1).optional(),
  resources: z.array(pattern).min(1).optional(),
  classes: z.array(z.enum(effectClasses)).min(1).optional(),
  actors: z.enum(['some', 'none']).optional(),
  wallets: z
    .array(
      z
        .string()
        .regex(/^0x[0-9a-fA-F]{40}$/)
        .transform((text) => text.toLowerCase()),
    )
    .min(1)
    .optional(),
  tenants: z.array(z.string()).min(1).optional(),
  roles: z
    .array(z.enum(['owner', 'approver', 'admin', 'operator']))
    .min(1)
    .optional(),
  owner: z.boolean().optional(),
  effect: z.enum(['never', 'deny', 'allow', 'require-approval', 'require-step-up']),
})

const PolicyText = z.strictObject({
  policy: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
  version: z.number().int().positive(),
  rules: z.array(RuleText).max(1_000),
})

const effects: Record<z.output<typeof RuleText>['effect'], RuleEffect> = {
  never: { kind: 'deny', hard: true },
  deny: { kind: 'deny', hard: false },
  allow: { kind: 'allow' },
  'require-approval': { kind: 'require', requirement: 'approval' },
  'require-step-up': { kind: 'require', requirement: 'step-up' },
}

/** Compiles one file. Throws an Error naming the file, the rule and the field of every fault. */
export function compilePolicy(name: string, text: string, epoch: number): PolicySet {
  const parsed = PolicyText.safeParse(parse(text))
  if (!parsed.success) throw new Error(`${name}: ${z.prettifyError(parsed.error)}`)
  const { policy, version, rules } = parsed.data
  const ids = rules.map((rule) => rule.id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) throw new Error(`${name}: rule ${twice} is written twice.`)
  return { policyId: policy, version, epoch, rules: rules.map((rule) => compileRule(name, version, rule)) }
}

function compileRule(source: string, version: number, rule: z.output<typeof RuleText>): Rule {
  const { id, reason, severity, phases: inPhases, effect, ...match } = rule
  const present = Object.fromEntries(Object.entries(match).filter(([, value]) => value !== undefined))
  return { id, version, source, phases: inPhases, match: present, effect: effects[effect], reason, severity }
}
