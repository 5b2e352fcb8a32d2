// The policy file of the tool gateway (contracts 14.4). Its reasons deny, ask for approval or are only recorded, as its
// `enforcement` block says; blocks that nothing obeys yet are named, never dropped in silence.
import { z } from 'zod'
import type { CompileCondition, Policy, Rule, RuleEffect } from '../../domain/policy/rule.ts'
import { retentionClasses } from '../../domain/retention.ts'
import { Compliance, complianceRules } from './compliance.ts'
import { faultAt, parseForm, policyIdOf, readPatterns, toRules, type RuleParts } from './foreign.ts'
import { isUnpinned, Security, securityRules } from './security-block.ts'
import { PolicyError, type YamlSource } from './yaml.ts'

/** What can be found wrong with a call (contracts 14.1). A word that is none of these would guard nothing. */
const reasons = [
  'missing_audit_signature',
  'tool_not_in_allowlist',
  'version_unpinned',
  'missing_idempotency_for_side_effect',
  'egress_violation',
  'fs_violation',
  'payload_too_large',
  'duration_too_long',
  'registry_mutation',
  'handler_swap',
  'server_code_changed',
  'tool_code_changed',
  'skill_version_changed',
  'skill_code_changed',
  'skill_scan_pending',
  'skill_scan_failed',
  'sast_pending',
  'sast_failed',
  'dast_pending',
  'dast_failed',
  'agent_guard_failed',
  'contextual_evaluator_denied',
  'contextual_evaluator_escalated',
  'ap2_intent_missing',
  'ap2_mandate_missing',
  'ap2_intent_conflict',
  'ap2_cart_conflict',
  'ap2_cart_mismatch',
  'ap2_vc_untrusted',
  'ap2_idempotency_missing',
  'ap2_idempotency_mismatch',
  'ap2_digest_unavailable',
] as const
const share = z.number().min(0).max(1)
const severity = z.enum(['critical', 'high', 'medium', 'low'])
/** Loads unchanged; a key that is not of it is a fault with its path. */
const ToolGatewayText = z.strictObject({
  tenant: z.string().min(1),
  default_retention: z.enum(retentionClasses),
  signing: z.strictObject({ enabled: z.boolean(), key_ref: z.string().nullable() }),
  observability: z.strictObject({
    otlp_endpoint: z.string().nullable(),
    sample: z.strictObject({ success: share, error: share }),
    sampling: z.unknown().optional(),
    redact_identities: z.boolean().default(false),
    instrumentation: z.unknown().optional(),
  }),
  tools: z.strictObject({ allowlist: z.array(z.string()), deny_if_unpinned_version: z.boolean() }),
  privacy: z.strictObject({
    redact_outputs: z.boolean(),
    store_raw_payloads: z.boolean(),
    artifact_retention: z.unknown().optional(),
  }),
  side_effects: z.strictObject({ require_idempotency_key: z.boolean(), max_retries: z.number().int().min(0).max(10) }),
  enforcement: z.strictObject({
    deny_on: z.array(z.enum(reasons)),
    escalate_on: z.array(z.enum(reasons)).default([]),
    circuit_breakers: z.strictObject({ error_rate_pct: z.number().min(0), p95_latency_ms: z.number().min(0) }),
    agent_guard: z
      .strictObject({
        enabled: z.boolean(),
        block_on_severity: severity.nullable().optional(),
        block_on_count: z.number().int().min(0).optional(),
      })
      .optional(),
  }),
  sec0_export: z.strictObject({
    enabled: z.boolean(),
    cadence: z.string().nullable().optional(),
    bucket_uri: z.string().nullable(),
  }),
  security_level: z.enum(['gateway', 'middleware']).optional(),
  skills: z.record(z.string(), z.unknown()).optional(),
  security: Security.optional(),
  compliance: Compliance.optional(),
})
type Text = z.output<typeof ToolGatewayText>

/** Compiles one file. Throws PolicyError with every fault. */
export function compileToolGateway(source: YamlSource, compileCondition: CompileCondition): Policy {
  const text = parseForm(source, ToolGatewayText)
  const policyId = policyIdOf(source.name)
  const listed = readPatterns(source, ['tools', 'allowlist'], text.tools.allowlist)
  const guards = securityRules(source, ['security'], text.security)
  const packs = complianceRules(source, text.compliance ?? {}, compileCondition)
  const faults = [...listed.faults, ...guards.faults, ...packs.faults]
  if (faults.length > 0) throw new PolicyError(faults)
  const tenants = [text.tenant.toLowerCase()]
  const allowed: RuleParts = {
    id: 'allowlist',
    path: ['tools', 'allowlist'],
    match: { tenants, tools: listed.patterns },
    effect: { kind: 'allow' },
    reason: 'The tool is on the allow list.',
  }
  const refusals: RuleParts[] = [
    {
      id: 'not-listed',
      path: ['tools', 'allowlist'],
      match: { tenants, exceptTools: listed.patterns },
      reason: 'tool_not_in_allowlist',
      severity: 'high',
      ...asEnforced(text, 'tool_not_in_allowlist'),
    },
    ...(text.tools.deny_if_unpinned_version
      ? [
          {
            id: 'unpinned',
            path: ['tools', 'deny_if_unpinned_version'],
            match: { tenants, tools: [{ server: '*', tool: '*' }] },
            when: isUnpinned,
            reason: 'version_unpinned',
            severity: 'high' as const,
            ...asEnforced(text, 'version_unpinned'),
          },
        ]
      : []),
    ...guards.rules.map((rule) => ({
      ...rule,
      match: { ...rule.match, tenants },
      ...(rule.effect.kind === 'deny' ? asEnforced(text, rule.reason) : {}),
    })),
  ]
  const scanned = packs.rules.map((rule) => ({ ...rule, match: { ...rule.match, tenants } }))
  const retention = text.default_retention
  const rules = toRules(source, policyId, [allowed, ...refusals, ...scanned]).map((rule) => ({ ...rule, retention }))
  const notEnforced = [...guards.notEnforced, ...packs.notEnforced, ...unheeded(source, text)]
  return { policyId, version: 1, rules, notEnforced }
}

// A reason that is named nowhere is recorded, and nothing follows; one that is named twice denies.
function asEnforced({ enforcement }: Text, reason: string): { effect: RuleEffect; mode: Rule['mode'] } {
  const denies = enforcement.deny_on.some((each) => each === reason)
  if (!denies && enforcement.escalate_on.some((each) => each === reason))
    return { effect: { kind: 'require', requirement: 'approval' }, mode: 'enforce' }
  return { effect: { kind: 'deny', hard: false }, mode: denies ? 'enforce' : 'observe' }
}

const obeyedReasons: readonly string[] = [
  'tool_not_in_allowlist',
  'version_unpinned',
  'egress_violation',
  'fs_violation',
  'payload_too_large',
]

function unheeded(source: YamlSource, text: Text): string[] {
  const { enforcement, observability, privacy, side_effects: effects } = text
  const reasons = [...enforcement.deny_on, ...enforcement.escalate_on].filter((each) => !obeyedReasons.includes(each))
  const checks: readonly (readonly [boolean, string])[] = [
    [!text.signing.enabled, 'signing.enabled: records are always signed'],
    [text.signing.key_ref !== null, 'signing.key_ref: records are signed with keys of this installation'],
    [
      observability.otlp_endpoint !== null,
      'observability.otlp_endpoint: OTEL_EXPORTER_OTLP_ENDPOINT says where spans go',
    ],
    [
      observability.sample.success < 1 || observability.sample.error < 1,
      'observability.sample: every call is recorded',
    ],
    [observability.redact_identities, 'observability.redact_identities: identities are redacted on export'],
    [privacy.redact_outputs, 'privacy.redact_outputs: answers are not redacted yet'],
    [privacy.store_raw_payloads, 'privacy.store_raw_payloads: the environment says whether payloads are kept'],
    [privacy.artifact_retention !== undefined, 'privacy.artifact_retention: no artifacts are kept'],
    [effects.require_idempotency_key, 'side_effects.require_idempotency_key: no call of a tool carries a key yet'],
    [effects.max_retries > 0, 'side_effects.max_retries: writes are never sent again'],
    [reasons.length > 0, `enforcement: nothing finds ${[...new Set(reasons)].join(', ')} yet`],
    [enforcement.circuit_breakers.error_rate_pct > 0, 'enforcement.circuit_breakers: there are none yet'],
    [enforcement.agent_guard?.enabled === true, 'enforcement.agent_guard: there is none yet'],
    [text.sec0_export.enabled, 'sec0_export: `gatehouse audit upload` delivers evidence'],
    [text.skills !== undefined, 'skills: skills are not scanned yet'],
  ]
  return checks.flatMap(([isUnheeded, sentence]) => {
    const [path = '', ...why] = sentence.split(': ')
    return isUnheeded ? [faultAt(source, path.split('.'), why.join(': '))] : []
  })
}
