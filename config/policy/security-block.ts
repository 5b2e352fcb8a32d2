// The `security` block of the tool gateway (contracts 14.2): where calls may lead, which paths they may name, how large
// they may be, which versions may run, and what a person must see first.
import { z } from 'zod'
import { condition, faultAt, type RuleParts } from './foreign.ts'
import { isLargerThan, leadsElsewhere, namesOther } from './argument-guards.ts'
import type { YamlSource } from './yaml.ts'

const count = z.number().int().nonnegative()
const HumanEscalation = z.strictObject({
  approval_strategy: z.enum(['auto_allow', 'single_approver', 'human_quorum']).optional(),
  timeout_action: z.enum(['auto_approve', 'auto_reject']).optional(),
  min_approvals: count.optional(),
  min_rejections: count.optional(),
  required_roles: z.array(z.string()).optional(),
  veto_roles: z.array(z.string()).optional(),
  approval_set_id: z.string().optional(),
})

export const Security = z.strictObject({
  // A host and nothing else: an address with a scheme, a port or a path would never be met, and its host be refused.
  egress_allowlist: z
    .array(
      z
        .string()
        .regex(/^(?:(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/i, 'must be a host such as *.example.com'),
    )
    .optional(),
  fs_allowlist: z.array(z.string().startsWith('/', 'must be an absolute folder')).optional(),
  limits: z
    .strictObject({ max_payload_kb: z.number().positive().optional(), max_duration_ms: count.optional() })
    .optional(),
  side_effects: z
    .strictObject({
      require_idempotency_key: z.boolean().optional(),
      approve_high_risk: z.boolean().optional(),
      human_escalation: HumanEscalation.optional(),
    })
    .optional(),
  allow_versions: z
    .record(z.string().regex(/^[A-Za-z0-9._*-]+$/, 'must be the name of a server'), z.array(z.string().min(1)))
    .optional(),
})
type Security = z.output<typeof Security>

export type Guards = { readonly rules: RuleParts[]; readonly faults: string[]; readonly notEnforced: string[] }

/** Rules of the block, wherever it stands. */
export function securityRules(source: YamlSource, path: readonly PropertyKey[], security: Security = {}): Guards {
  const at = (...rest: PropertyKey[]) => [...path, ...rest]
  const rules = [...argumentRules(security, at), ...versionRules(security, at), ...approvalRules(security, at)]
  return { rules, faults: faultsOf(source, security, at), notEnforced: unheeded(source, security, at) }
}

type At = (...rest: PropertyKey[]) => PropertyKey[]
const deny = { kind: 'deny', hard: false } as const
const onCalls = { actions: ['tool.call'], tools: [{ server: '*', tool: '*' }] } as const

// In calls only: a list has no arguments.
function argumentRules({ egress_allowlist: hosts, fs_allowlist: folders, limits }: Security, at: At): RuleParts[] {
  const guards = [
    ['egress', 'egress_allowlist', hosts && leadsElsewhere(hosts), 'egress_violation', 'medium'],
    ['fs', 'fs_allowlist', folders && namesOther(folders), 'fs_violation', 'medium'],
    [
      'payload',
      'limits',
      limits?.max_payload_kb === undefined ? undefined : isLargerThan(Math.floor(limits.max_payload_kb * 1_024)),
      'payload_too_large',
      'medium',
    ],
  ] as const
  return guards.flatMap(([id, key, when, reason, severity]) =>
    when === undefined
      ? []
      : [
          {
            id: `security:${id}`,
            path: at(key),
            match: onCalls,
            phases: ['call'],
            when,
            effect: deny,
            reason,
            severity,
          },
        ],
  )
}

// A server that is named runs in its versions only; a tool that does not say its version runs in none of them.
function versionRules({ allow_versions: versions = {} }: Security, at: At): RuleParts[] {
  return Object.entries(versions).map(([server, patterns]) => ({
    id: `security:versions:${server}`,
    path: at('allow_versions', server),
    match: {
      tools: [{ server, tool: '*' }],
      exceptTools: patterns.map((version) => ({ server, tool: '*', version: version === '*' ? '**' : version })),
    },
    effect: deny,
    reason: 'version_unpinned',
    severity: 'high',
  }))
}

function approvalRules({ side_effects: effects }: Security, at: At): RuleParts[] {
  if (effects?.approve_high_risk !== true) return []
  return [
    {
      id: 'security:approve-high-risk',
      path: at('side_effects', 'approve_high_risk'),
      match: { actions: ['tool.call'], classes: ['write', 'destructive'] },
      phases: ['call'],
      effect: { kind: 'require', requirement: 'approval' },
      reason: 'A write needs a person.',
      severity: 'high',
    },
  ]
}

// Nobody approves a write by waiting: such a rule would reach every tool above read.
function faultsOf(source: YamlSource, { side_effects: effects }: Security, at: At): string[] {
  const human = effects?.human_escalation
  return [
    ...(human?.approval_strategy === 'auto_allow'
      ? [faultAt(source, at('side_effects', 'human_escalation', 'approval_strategy'), 'auto_allow can reach writes')]
      : []),
    ...(human?.timeout_action === 'auto_approve'
      ? [faultAt(source, at('side_effects', 'human_escalation', 'timeout_action'), 'auto_approve can reach writes')]
      : []),
  ]
}

function unheeded(source: YamlSource, { limits, side_effects: effects }: Security, at: At): string[] {
  const checks = [
    [limits?.max_duration_ms !== undefined, at('limits', 'max_duration_ms'), 'calls have one deadline'],
    [
      effects?.require_idempotency_key === true,
      at('side_effects', 'require_idempotency_key'),
      'no call of a tool carries a key yet',
    ],
    [
      effects?.human_escalation !== undefined,
      at('side_effects', 'human_escalation'),
      'approvals do not exist yet; what needs one is refused',
    ],
  ] as const
  return checks.flatMap(([isUnheeded, path, why]) => (isUnheeded ? [faultAt(source, path, why)] : []))
}

/** Holds where a tool does not say its version. */
export const isUnpinned = condition('the tool has no version', ({ facts }) => (facts.tool?.version ?? null) === null)
