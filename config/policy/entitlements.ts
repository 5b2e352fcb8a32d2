// Entitlements of the tool gateway (contracts 14.2): per tenant the tools that its people, roles and agents may use, what
// they may never use, and how often. An allow list closes the tenant: what no list names is refused.
import { z } from 'zod'
import { meterAmountMax } from '../../domain/limits.ts'
import type { Policy, Rule, RuleMatch } from '../../domain/policy/rule.ts'
import { faultAt, limitOf, noneOf, parseForm, policyIdOf, readPatterns, toRules, type RuleParts } from './foreign.ts'
import { gatewayBlocks, unheededBlocks } from './gateway-config.ts'
import { Security, securityRules } from './security-block.ts'
import { PolicyError, type YamlSource } from './yaml.ts'

const Amount = z.number().positive().max(meterAmountMax).multipleOf(0.001)
const Lists = z.strictObject({ allowlist: z.array(z.string()).optional(), denylist: z.array(z.string()).optional() })
const named = z.record(z.string().min(1), Lists).optional()
const Tenant = z.strictObject({
  plan: z.string().min(1).optional(),
  ...Lists.shape,
  per_tool: z
    .record(z.string(), z.strictObject({ rate_per_sec: Amount.optional(), calls_per_day: Amount.optional() }))
    .optional(),
  users: named,
  user_ids: named,
  roles: named,
  agents: named,
  agent_nodes: named,
})
type Tenant = z.output<typeof Tenant>

/** The file: an entitlements block, or the word that there is none. */
const EntitlementsText = z.strictObject({
  entitlements: z.union([
    z.literal('open'),
    z.strictObject({
      default_plan: z.string().min(1).optional(),
      plans: z.record(z.string(), z.strictObject({ calls_per_day: Amount.optional() })).default({}),
      tenants: z.record(z.string().min(1), Tenant).default({}),
    }),
  ]),
  security: Security.optional(),
  ...gatewayBlocks,
})

/** Compiles a file of entitlements. Throws PolicyError with every fault. */
export function compileEntitlements(source: YamlSource): Policy {
  const { entitlements, security, ...blocks } = parseForm(source, EntitlementsText)
  const policyId = policyIdOf(source.name)
  const guards = securityRules(source, ['security'], security)
  const faults = [...guards.faults]
  const rules: Rule[] = []
  const notEnforced = [...guards.notEnforced, ...unheededBlocks(source, blocks)]
  if (entitlements === 'open') rules.push(...toRules(source, policyId, [open]))
  else {
    rules.push(...toRules(source, policyId, plansOf(source, entitlements, faults)))
    for (const [tenant, block] of Object.entries(entitlements.tenants)) {
      rules.push(...tenantRules({ source, policyId, faults }, tenant, block))
      notEnforced.push(...unknownSubjects({ source, policyId, faults }, tenant, block))
    }
  }
  if (faults.length > 0) throw new PolicyError(faults)
  const all = [...rules, ...toRules(source, policyId, guards.rules)]
  if (blocks.enforcement?.mode !== 'observe') return { policyId, version: 1, rules: all, notEnforced }
  if (entitlements === 'open') return { policyId, version: 1, rules: all.map(observed), notEnforced }
  const tenants = Object.keys(entitlements.tenants).map((tenant) => tenant.toLowerCase())
  const opened = toRules(source, policyId, [
    {
      ...open,
      id: 'observed',
      path: ['enforcement', 'mode'],
      match: { tenants, tools: everyTool },
      reason: 'The entitlements are observed.',
    },
  ])
  return { policyId, version: 1, rules: [...all.map(observed), ...opened], notEnforced }
}

// Under observation a tenant may use every tool, and what the file would have refused is on record. Rates and quotas are
// counted or they are not.
const observed = (rule: Rule): Rule =>
  rule.effect.kind === 'deny' || rule.effect.kind === 'require' ? { ...rule, mode: 'observe' } : rule

const open: RuleParts = {
  id: 'open',
  path: ['entitlements'],
  match: { tools: [{ server: '*', tool: '*' }] },
  effect: { kind: 'allow' },
  reason: 'The entitlements are open.',
}

type Block = Exclude<z.output<typeof EntitlementsText>['entitlements'], 'open'>

// The default plan holds for everybody, a tenant's own plan in its place.
function plansOf(source: YamlSource, { default_plan: standard, plans, tenants }: Block, faults: string[]): RuleParts[] {
  const chosen = [
    ...(standard === undefined ? [] : [{ plan: standard, path: ['entitlements', 'default_plan'], tenant: undefined }]),
    ...Object.entries(tenants).flatMap(([tenant, { plan }]) =>
      plan === undefined ? [] : [{ plan, path: ['entitlements', 'tenants', tenant, 'plan'], tenant }],
    ),
  ]
  return chosen.flatMap(({ plan, path, tenant }) => {
    const known = Object.hasOwn(plans, plan) ? plans[plan] : undefined
    if (known === undefined) faults.push(faultAt(source, path, `there is no plan ${plan}`))
    const amount = known?.calls_per_day
    if (amount === undefined) return []
    const rank = tenant === undefined ? ('default' as const) : ('plan' as const)
    return [
      {
        id: tenant === undefined ? `plan:${plan}` : `${tenant}:plan:${plan}`,
        path: ['entitlements', 'plans', plan],
        match: {
          actions: ['tool.call'],
          tools: everyTool,
          ...(tenant === undefined ? {} : { tenants: [tenant.toLowerCase()] }),
        },
        phases: ['call'],
        effect: limitOf({ meter: 'calls-per-day', amount, per: 'tenant-tool', rank }),
        reason: `The plan ${plan} has ${amount} calls of a tool a day.`,
      } satisfies RuleParts,
    ]
  })
}

const everyTool = [{ server: '*', tool: '*' }]

type Compiling = { readonly source: YamlSource; readonly policyId: string; readonly faults: string[] }
type Listed = {
  readonly id: string
  readonly path: PropertyKey[]
  readonly match: RuleMatch
  readonly lists: z.output<typeof Lists>
}

function tenantRules({ source, policyId, faults }: Compiling, tenant: string, block: Tenant): Rule[] {
  const path = ['entitlements', 'tenants', tenant]
  const parts = listsOf(tenant, block, path).flatMap((listed) => listRules(source, listed, faults))
  const rules = toRules(source, policyId, parts)
  const allows = rules.filter(({ effect }) => effect.kind === 'allow')
  const closed: RuleParts = {
    id: `${tenant}:not-listed`,
    path,
    match: { tenants: [tenant.toLowerCase()], tools: everyTool },
    when: noneOf(allows),
    effect: { kind: 'deny', hard: false },
    reason: 'tool_not_in_allowlist',
    severity: 'high',
  }
  const limits = perTool(source, { tenant, path: [...path, 'per_tool'], block }, faults)
  return [...rules, ...toRules(source, policyId, [...(allows.length > 0 ? [closed] : []), ...limits])]
}

// Who of the tenant each pair of lists is for. Users are known by their subject; agents by the chain that acts for them.
function listsOf(tenant: string, block: Tenant, path: readonly PropertyKey[]): Listed[] {
  const tenants = [tenant.toLowerCase()] // ids of tenants are lower-case; names compare without case (contracts 14.2)
  const own: Listed = { id: tenant, path: [...path], match: { tenants }, lists: block }
  const of = (kind: 'user_ids' | 'roles' | 'agents', match: (name: string) => RuleMatch): Listed[] =>
    Object.entries(block[kind] ?? {}).map(([name, lists]) => ({
      id: `${tenant}:${kind}:${name}`,
      path: [...path, kind, name],
      match: { tenants, ...match(name) },
      lists,
    }))
  return [
    own,
    ...of('user_ids', (name) => ({ subjects: [name] })),
    ...of('roles', (name) => ({ roles: [name] })),
    ...of('agents', (name) => ({ agents: [name] })),
  ]
}

function listRules(source: YamlSource, { id, path, match, lists }: Listed, faults: string[]): RuleParts[] {
  const kinds = [
    ['denylist', { kind: 'deny', hard: true }, 'The tool is on the deny list.', 'high'],
    ['allowlist', { kind: 'allow' }, 'The tool is on the allow list.', 'low'],
  ] as const
  return kinds.flatMap(([list, effect, reason, severity]) => {
    const references = lists[list]
    if (references === undefined) return []
    const read = readPatterns(source, [...path, list], references)
    faults.push(...read.faults)
    // An empty deny list denies nothing; an empty allow list still closes.
    if (list === 'denylist' && references.length === 0) return []
    return [
      {
        id: `${id}:${list}`,
        path: [...path, list],
        match: { ...match, tools: read.patterns },
        effect,
        reason,
        severity,
      },
    ]
  })
}

type PerTool = { readonly tenant: string; readonly path: readonly PropertyKey[]; readonly block: Tenant }

function perTool(source: YamlSource, { tenant, path, block }: PerTool, faults: string[]): RuleParts[] {
  return Object.entries(block.per_tool ?? {}).flatMap(([reference, limits]) => {
    const read = readPatterns(source, path, [reference])
    if (read.faults.length > 0) {
      faults.push(faultAt(source, [...path, reference], 'is no tool reference such as mcp://server/tool@version'))
      return []
    }
    const meters = [
      ['calls-per-second', limits.rate_per_sec, 'rate'],
      ['calls-per-day', limits.calls_per_day, 'day'],
    ] as const
    return meters.flatMap(([meter, amount, word]) =>
      amount === undefined
        ? []
        : [
            {
              id: `${tenant}:${reference}:${word}`,
              path: [...path, reference],
              match: { actions: ['tool.call'], tenants: [tenant.toLowerCase()], tools: read.patterns },
              phases: ['call'],
              effect: limitOf({ meter, amount, per: 'tenant-tool', rank: 'tool' }),
              reason: `The tool has ${amount} ${meter.replaceAll('-', ' ')}.`,
            } satisfies RuleParts,
          ],
    )
  })
}

// Contracts 14, `x-node-id`.
const isNode = /^[a-z0-9-]{1,80}$/i

// Names that no fact of a decision has yet: their lists say nothing until it does, and are read all the same.
function unknownSubjects({ source, faults }: Compiling, tenant: string, block: Tenant): string[] {
  const missing = {
    users: 'no credential names the user by e-mail',
    agent_nodes: 'no credential names the node',
  } as const
  return (Object.keys(missing) as (keyof typeof missing)[]).flatMap((kind) => {
    if (block[kind] === undefined) return []
    const path = ['entitlements', 'tenants', tenant, kind]
    for (const [name, lists] of Object.entries(block[kind])) {
      if (kind === 'agent_nodes' && !isNode.test(name))
        faults.push(faultAt(source, [...path, name], 'is no name of a node: letters, digits and hyphens, at most 80'))
      for (const list of ['allowlist', 'denylist'] as const)
        faults.push(...readPatterns(source, [...path, name, list], lists[list] ?? []).faults)
    }
    return [faultAt(source, path, missing[kind])]
  })
}
