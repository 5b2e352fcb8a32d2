// What a record of the chain says: built from a call and its decision before the effect, joined with the outcome after.
import { digestOf, wellFormed } from '../crypto/evidence.ts'
import type { Decision } from '../domain/policy/combine.ts'
import type { Principal } from '../domain/principal.ts'
import { retentionDefault } from '../domain/retention.ts'
import { auditSchemaVersion, type AuditIntent, type AuditOutcome, type AuditStatus } from '../schemas/audit.ts'
import type { SpanIds } from '../telemetry/tracing.ts'
import type { Call } from './call.ts'

export const gatewayIdentity = { name: 'gatehouse', version: '0.1.0' } as const

// Facts whose source is not connected; each member of the record is there all the same.
const unconnected = {
  cause_trace: null,
  cause_span: null,
  nodeId: null,
  agentRef: null,
  agentVariables: null,
  aan: null,
  spiffe_id: null,
  aud: null,
  allowlist_match: null,
  approval_id: null,
} as const
const unproven = { htm: null, htu: null, ath: null, nonce: null } as const

/** Acts that no policy decides. */
type OwnAction =
  | 'credential.revoke'
  | 'session.delete'
  | 'key.rotate'
  | 'money.stop'
  | 'money.resume'
  | 'evidence.set-aside'

/** What a record says of a call; also of acts that the house decides itself, and no policy. */
export type Recorded = Pick<Call, 'principal' | 'origin' | 'effectKey' | 'attempt'> & {
  readonly action: Call['action'] | OwnAction
  readonly resource: {
    readonly kind: Call['resource']['kind'] | 'credential' | 'key' | 'ledger' | 'evidence'
    readonly name: string
  }
  readonly facts: Pick<Call['facts'], 'arguments'>
}

export type Deciding = {
  readonly call: Recorded
  readonly decision: Decision
  readonly at: Date
  readonly span: SpanIds | null
}

/** The part that stands before the effect. Null where no source is connected. */
export function auditIntent({ call, decision, at, span }: Deciding): AuditIntent {
  const { principal, resource } = call
  return {
    schema_version: auditSchemaVersion,
    ts: at.toISOString(),
    trace_id: span?.traceId ?? null,
    span_id: span?.spanId ?? null,
    tenant: principal.tenant,
    gateway: gatewayIdentity,
    origin: call.origin,
    action: call.action,
    node_type: resource.kind,
    resource: wellFormed(resource.name),
    ...toolOf(call),
    retries: call.attempt - 1,
    input_sha256: call.facts.arguments === undefined ? null : digestOf(call.facts.arguments),
    policy: policyOf(decision),
    idempotency_key: wellFormed(call.effectKey),
    effect_seq: null,
    ...callerOf(principal),
    ...unconnected,
    dlp_actions: [],
    follows: null,
  }
}

function toolOf({ resource }: Pick<Recorded, 'resource'>): Pick<AuditIntent, 'server' | 'tool'> {
  if (resource.kind !== 'tool') return { server: null, tool: null }
  const name = wellFormed(resource.name)
  const cut = name.indexOf('/')
  return cut < 0 ? { server: null, tool: name } : { server: name.slice(0, cut), tool: name.slice(cut + 1) }
}

function policyOf(decision: Decision): AuditIntent['policy'] {
  return {
    decision: decision.kind,
    policy_id: decision.policyId,
    version: decision.version,
    epoch: decision.epoch,
    rules: [...decision.ruleIds],
    rationale: decision.reason,
    retention: decision.retention ?? retentionDefault,
    observed: observedIn(decision),
  }
}

function observedIn({ observed }: Decision): AuditIntent['policy']['observed'] {
  if (observed === undefined) return null
  return { decision: observed.kind, rules: [...observed.ruleIds], rationale: observed.reason }
}

type Caller = Pick<AuditIntent, 'usid' | 'wsid' | 'asid' | 'msid' | 'sub' | 'wallet_id' | 'act' | 'proof'>

function callerOf({ sessionIds, subject, walletId, actorChain, proof }: Principal): Caller {
  return {
    usid: sessionIds.usid,
    wsid: sessionIds.wsid ?? null,
    asid: sessionIds.asid ?? null,
    msid: sessionIds.msid ?? null,
    sub: subject.id,
    wallet_id: walletId.toString(),
    act: actorChain.map(({ kind, id }) => ({ kind, id })),
    proof: {
      kind: proof.kind,
      thumbprint: proof.thumbprint ?? null,
      jti: proof.replayId ?? null,
      ...unproven,
      mtls_thumbprint: proof.kind === 'mtls' ? (proof.thumbprint ?? null) : null,
    },
  }
}

export type Ending = {
  readonly status: AuditStatus
  readonly code?: string
  readonly output?: unknown
}

/** The part that stands after it. */
export function auditOutcome({ status, code, output }: Ending, startedAtMs: number): AuditOutcome {
  return {
    status,
    error_code: code ?? null,
    latency_ms: Math.max(0, Math.round(performance.now() - startedAtMs)),
    output_sha256: output === undefined ? null : digestOf(output),
  }
}

/** What is sealed when nobody said how it ended. */
export const unknownOutcome: AuditOutcome = {
  status: 'unknown',
  error_code: null,
  latency_ms: null,
  output_sha256: null,
}
