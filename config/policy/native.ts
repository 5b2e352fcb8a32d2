// Our own policy form: YAML rules compiled into the one rule form. All faults of a file are reported at once, each with
// the file, the rule and the field. Obligations (redact, limit) are not part of the form: nothing fulfils them.
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { policyRulesMax } from '../domain/limits.ts'
import type { PolicySet } from '../domain/policy/combine.ts'
import { phases, type Action, type Rule, type RuleEffect } from '../domain/policy/rule.ts'
import { effectClasses } from '../domain/tool.ts'

const actions = [
  'agent.read',
  'session.create',
  'chat.submit',
  'model.call',
  'tool.list',
  'tool.call',
  'codec.decode',
] as const satisfies readonly Action[]
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
  rules: z.array(RuleText).max(policyRulesMax),
})

const effects: Record<z.output<typeof RuleText>['effect'], RuleEffect> = {
  never: { kind: 'deny', hard: true },
  deny: { kind: 'deny', hard: false },
  allow: { kind: 'allow' },
  'require-approval': { kind: 'require', requirement: 'approval' },
  'require-step-up': { kind: 'require', requirement: 'step-up' },
}

/** Raised with every fault of a policy file, one line each. */
export class PolicyError extends Error {
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(`The policy is not usable:\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
    this.name = 'PolicyError'
    this.faults = faults
  }
}

/** Compiles one file. Throws PolicyError. */
export function compilePolicy(name: string, text: string, epoch: number): PolicySet {
  const document = parseDocument(text)
  if (document.errors.length > 0) {
    throw new PolicyError(document.errors.map((error) => `${name}: ${error.message.split('\n')[0] ?? ''}`))
  }
  const value: unknown = document.toJS()
  const parsed = PolicyText.safeParse(value)
  const faults = [
    ...(parsed.error?.issues ?? []).map((issue) => `${name}: ${placeOf(value, issue.path)}${issue.message}`),
    ...repeatedIds(value).map((id) => `${name}: rule ${id}: id: is used twice`),
  ]
  if (!parsed.success || faults.length > 0) throw new PolicyError(faults)
  const { policy, version, rules } = parsed.data
  return { policyId: policy, version, epoch, rules: rules.map((rule) => compileRule(name, version, rule)) }
}

const idsOf = (value: unknown): unknown[] => {
  const rules = typeof value === 'object' && value !== null && 'rules' in value ? value.rules : []
  if (!Array.isArray(rules)) return []
  return rules.map((rule: unknown) => (typeof rule === 'object' && rule !== null && 'id' in rule ? rule.id : undefined))
}

// `rules.3.classes.0` → `rule notes-deny: classes.0: `; a rule without an id is named by its place, from 1.
function placeOf(value: unknown, path: readonly PropertyKey[]): string {
  const [first, index, ...rest] = path
  if (first !== 'rules' || typeof index !== 'number') return path.length === 0 ? '' : `${path.join('.')}: `
  const id = idsOf(value)[index]
  const field = rest.length === 0 ? '' : `${rest.join('.')}: `
  return `rule ${typeof id === 'string' ? id : `number ${index + 1}`}: ${field}`
}

function repeatedIds(value: unknown): string[] {
  const ids = idsOf(value)
  const repeated = ids.filter((id, index) => typeof id === 'string' && ids.indexOf(id) < index)
  return [...new Set(repeated)].map(String)
}

function compileRule(source: string, version: number, rule: z.output<typeof RuleText>): Rule {
  const { id, reason, severity, phases: inPhases, effect, ...match } = rule
  const present = Object.fromEntries(Object.entries(match).filter(([, value]) => value !== undefined))
  return { id, version, source, phases: inPhases, match: present, effect: effects[effect], reason, severity }
}
