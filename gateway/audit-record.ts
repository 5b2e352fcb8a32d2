// What a record of the chain says: built from a call and its decision before the effect, joined with the outcome after.
import { createHash } from 'node:crypto'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import type { Decision } from '../domain/policy/combine.ts'
import type { Call } from './call.ts'

type Json = Readonly<Record<string, unknown>>

const digest = (value: unknown) =>
  value === undefined
    ? null
    : createHash('sha256')
        .update(canonicalJson(JSON.parse(JSON.stringify(value ?? null))))
        .digest('hex')

/** The part that stands before the effect. Null where there is no source yet. */
export function auditIntent(call: Omit<Call, 'signal'>, decision: Decision | null): Json {
  const { principal, resource } = call
  const [server, tool] = resource.kind === 'tool' ? resource.name.split('/') : [null, resource.name]
  return {
    schema_version: 1,
    gateway: { name: 'gatehouse', version: '0.1.0' },
    tenant: principal.tenant,
    server: server ?? null,
    tool: tool ?? null,
    action: call.action,
    node_type: resource.kind,
    origin: call.origin,
    idempotency_key: call.effectKey,
    retries: call.attempt - 1,
    input_sha256: digest(call.facts.arguments),
    policy: policyOf(decision),
    usid: principal.sessionIds.usid,
    wsid: principal.sessionIds.wsid ?? null,
    asid: principal.sessionIds.asid ?? null,
    msid: principal.sessionIds.msid ?? null,
    sub: principal.subject.id,
    aan: null,
    spiffe_id: null,
    act: principal.actorChain.map((actor) => `${actor.kind}:${actor.id}`),
    aud: 'gatehouse',
    proof: { ...principal.proof },
    approval_id: null,
  }
}

function policyOf(decision: Decision | null): Json | null {
  if (!decision) return null
  return {
    decision: decision.kind,
    policy_id: decision.policyId,
    version: decision.version,
    epoch: decision.epoch,
    rules: decision.ruleIds,
    rationale: decision.reason,
    retention: 'hashes',
  }
}

export type Outcome = {
  readonly status: 'ok' | 'error' | 'denied' | 'held' | 'refused' | 'admitted'
  readonly code?: string
  readonly output?: unknown
  readonly startedAt: number
  readonly traceId: string | null
}

/** The part that stands after it. */
export function auditOutcome(outcome: Outcome): Json {
  return {
    ts: new Date().toISOString(),
    status: outcome.status,
    code: outcome.code ?? null,
    latency_ms: Math.round(performance.now() - outcome.startedAt),
    output_sha256: digest(outcome.output),
    trace_id: outcome.traceId,
  }
}
