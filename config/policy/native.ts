// Our own policy form: YAML rules compiled into the one rule form. All faults of a file are reported at once, each with
// the file, the line, the rule and the field.
import { z } from 'zod'
import { meterAmountMax, policyConditionCharsMax, policyRulesMax } from '../../domain/limits.ts'
import {
  actions,
  meters,
  phases,
  severities,
  type CompileCondition,
  type LimitEffect,
  type Policy,
  type Rule,
  type RuleEffect,
} from '../../domain/policy/rule.ts'
import { retentionClasses } from '../../domain/retention.ts'
import { effectClasses } from '../../domain/tool.ts'
import { toolPattern } from './tool-reference.ts'
import { PolicyError, type YamlSource } from './yaml.ts'

const Name = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,79}$/)
const ResourcePattern = z
  .string()
  .regex(/^(agent|session|model|tool|codec|policy):[^*]*\*?$/, 'must be kind:name, the name may end in *')
const Wallet = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text) => text.toLowerCase())
const names = z.array(z.string().min(1)).min(1).optional()
const ToolReference = z.string().transform((text, context) => {
  const pattern = toolPattern(text)
  if (pattern !== undefined) return pattern
  context.addIssue({ code: 'custom', message: 'must be mcp://server/tool or mcp://server/tool@version' })
  return z.NEVER
})

// Thousandths stay exact in the counters.
const Amount = z.number().positive().max(meterAmountMax).multipleOf(0.001)
const Limit = z.strictObject({
  meter: z.enum(meters),
  amount: Amount,
  burst: Amount.optional(),
  per: z.enum(['tenant-tool', 'human', 'wallet', 'tenant']).default('human'),
  rank: z.enum(['tool', 'plan', 'default']).default('default'),
  /** Limits that name one counter count together; without a name each action has its own. */
  counter: Name.optional(),
  /** Units that a call takes; one by default. */
  weight: z.number().positive().max(1_000).multipleOf(0.001).optional(),
})

const RuleText = z.strictObject({
  id: Name,
  reason: z.string().min(1),
  severity: z.enum(severities).default('low'),
  phases: z.array(z.enum(phases)).min(1).default(['list', 'call']),
  actions: z.array(z.enum(actions)).min(1).optional(),
  resources: z.array(ResourcePattern).min(1).optional(),
  tools: z.array(ToolReference).min(1).optional(),
  exceptTools: z.array(ToolReference).min(1).optional(),
  classes: z.array(z.enum(effectClasses)).min(1).optional(),
  actors: z.enum(['some', 'none']).optional(),
  agents: names,
  subjects: names,
  wallets: z.array(Wallet).min(1).optional(),
  tenants: names,
  roles: names,
  scopes: names,
  owner: z.boolean().optional(),
  when: z.string().min(1).max(policyConditionCharsMax).optional(),
  effect: z.enum(['never', 'deny', 'allow', 'require-approval', 'require-step-up', 'require-assurance', 'limit']),
  assurance: z.union([z.literal(1), z.literal(2), z.literal(3)]).optional(),
  limit: Limit.optional(),
  mode: z.enum(['enforce', 'observe']).default('enforce'),
  delegable: z.boolean().default(false),
  /** How long payloads are kept of what it decides, in the place of the file's. */
  retention: z.enum(retentionClasses).optional(),
})
type RuleText = z.output<typeof RuleText>

/** The published form of a policy file; its JSON Schema is generated from it. */
export const PolicyText = z.strictObject({
  policy: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
  version: z.number().int().positive(),
  /** How long payloads are kept of what its rules decide; 90d where nothing says so. */
  retention: z.enum(retentionClasses).optional(),
  rules: z.array(RuleText).max(policyRulesMax),
})

/** Compiles one file of our own form. Throws PolicyError with every fault. */
export function compileNative(source: YamlSource, compileCondition: CompileCondition): Policy {
  const parsed = PolicyText.safeParse(source.value)
  const faults = [
    ...(parsed.error?.issues ?? []).map((issue) => faultAt(source, issue.path, issue.message)),
    ...repeatedIds(source.value).map(({ id, index }) => faultAt(source, ['rules', index, 'id'], `${id} is used twice`)),
  ]
  if (!parsed.success || faults.length > 0) throw new PolicyError(faults)
  const { policy, version, rules, retention } = parsed.data
  const compiled = rules.map((rule, index): Rule | string[] => {
    const at = (field: string, message: string) => faultAt(source, ['rules', index, field], message)
    const effect = effectOf(rule)
    if (typeof effect === 'string') return [at('effect', effect)]
    const condition = rule.when === undefined ? undefined : compileCondition(rule.when, rule.phases)
    if (condition && 'faults' in condition) return condition.faults.map((fault) => at('when', fault))
    const line = source.lineOf(['rules', index])
    return toRule(retention === undefined ? rule : { retention, ...rule }, {
      policyId: policy,
      version,
      source: `${source.name}:${line}`,
      effect,
      when: condition?.condition,
    })
  })
  const broken = compiled.flatMap((each) => (Array.isArray(each) ? each : []))
  if (broken.length > 0) throw new PolicyError(broken)
  return { policyId: policy, version, rules: compiled.filter(isRule), notEnforced: [] }
}

const isRule = (compiled: Rule | string[]): compiled is Rule => !Array.isArray(compiled)

type Placed = Pick<Rule, 'policyId' | 'version' | 'source' | 'effect'> & { readonly when: Rule['when'] }

function toRule(rule: RuleText, { when, ...placed }: Placed): Rule {
  const { id, reason, severity, phases: inPhases, mode, delegable, retention, ...rest } = rule
  const { effect: _effect, assurance: _assurance, limit: _limit, when: _when, ...match } = rest
  const present = Object.fromEntries(Object.entries(match).filter(([, value]) => value !== undefined))
  const condition = when === undefined ? {} : { when }
  const kept = retention === undefined ? {} : { retention }
  return { id, ...placed, phases: inPhases, match: present, ...condition, reason, severity, mode, delegable, ...kept }
}

// A sentence where the fields do not make an effect.
function effectOf({ effect, assurance, limit, mode }: RuleText): RuleEffect | string {
  if ((effect === 'limit') !== (limit !== undefined)) return 'a limit needs its `limit`, and nothing else has one'
  if (effect !== 'require-assurance' && assurance !== undefined) return 'only require-assurance has an `assurance`'
  if (effect === 'never' && mode === 'observe') return 'what is never done is never only observed'
  if (limit?.meter === 'tokens-per-minute' && limit.weight !== undefined) return 'tokens are what they are: no weight'
  if (limit?.meter === 'calls-per-day' && limit.burst !== undefined) return 'calls of a day have no burst'
  if (limit !== undefined) return mode === 'observe' ? 'a limit cannot be observed' : toLimit(limit)
  if (effect === 'require-assurance') {
    return { kind: 'require', requirement: 'assurance', ...(assurance === undefined ? {} : { assurance }) }
  }
  return plainEffects[effect as keyof typeof plainEffects]
}

function toLimit(limit: z.output<typeof Limit>): RuleEffect {
  const given = Object.fromEntries(Object.entries(limit).filter(([, value]) => value !== undefined))
  return { kind: 'limit', ...(given as Omit<LimitEffect, 'kind'>) }
}

const plainEffects = {
  never: { kind: 'deny', hard: true },
  deny: { kind: 'deny', hard: false },
  allow: { kind: 'allow' },
  'require-approval': { kind: 'require', requirement: 'approval' },
  'require-step-up': { kind: 'require', requirement: 'step-up' },
} as const satisfies Record<string, RuleEffect>

const idsOf = (value: unknown): unknown[] => {
  const rules = typeof value === 'object' && value !== null && 'rules' in value ? value.rules : []
  if (!Array.isArray(rules)) return []
  return rules.map((rule: unknown) => (typeof rule === 'object' && rule !== null && 'id' in rule ? rule.id : undefined))
}

// `rules.3.classes.0` → `policy/x.yaml:12: rule notes-deny: classes.0: …`; a rule without an id is named by its place.
function faultAt(source: YamlSource, path: readonly PropertyKey[], message: string): string {
  const where = `${source.name}:${source.lineOf(path)}: `
  const [first, index, ...rest] = path
  if (first !== 'rules' || typeof index !== 'number') {
    return `${where}${path.length === 0 ? '' : `${path.join('.')}: `}${message}`
  }
  const id = idsOf(source.value)[index]
  const field = rest.length === 0 ? '' : `${rest.join('.')}: `
  return `${where}rule ${typeof id === 'string' ? id : `number ${index + 1}`}: ${field}${message}`
}

function repeatedIds(value: unknown): { id: string; index: number }[] {
  const ids = idsOf(value)
  return ids.flatMap((id, index) => (typeof id === 'string' && ids.indexOf(id) < index ? [{ id, index }] : []))
}
