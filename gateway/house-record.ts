// Acts that no rule decides, on record all the same: what the installation does itself (policies of files, keys, stops of
// money) and what is a person's right (ending a credential or a session). Each is written in its own transaction.
import { randomUUID } from 'node:crypto'
import { insertAudit } from '../db/audit.ts'
import type { Queryable } from '../db/pool.ts'
import type { Decision } from '../domain/policy/combine.ts'
import type { Principal } from '../domain/principal.ts'
import type { AuditIntent } from '../schemas/audit.ts'
import type { SpanIds } from '../telemetry/tracing.ts'
import { auditIntent, auditOutcome, type Recorded } from './audit-record.ts'

/** Tenant of what the installation itself does. */
export const installation = 'installation'

/** The installation, acting by one of its own. */
export function housePrincipal(by: string): Principal {
  return {
    tenant: installation,
    subject: { kind: 'operator', id: by },
    wallet: '0x0000000000000000000000000000000000000000',
    walletId: 0n,
    actorChain: [],
    scopes: [],
    roles: ['operator'],
    permissions: [],
    proof: { kind: 'none' },
    assurance: 0,
    sessionIds: { usid: by },
    gate: [],
    tokenId: by,
    expiresAt: new Date(0),
  }
}

/** Not a rule of a policy, because none may take it away. */
export function ownDecision(ruleId: string, reason: string): Decision {
  return { kind: 'allow', obligations: [], policyId: 'gatehouse', version: 1, epoch: 0, ruleIds: [ruleId], reason }
}

export type Act = {
  readonly principal: Principal
  readonly action: Recorded['action']
  readonly resource: Recorded['resource']
  readonly facts: Readonly<Record<string, unknown>>
  readonly origin: string
  readonly effectKey: string
  readonly decision: Decision
  readonly span?: SpanIds | null
  /** Its place in the order of effects, when it has one. */
  readonly seq?: bigint
  /** Of the monotonic clock. */
  readonly startedAtMs?: number
}

/** Writes an act that was done, in the transaction that did it. */
export async function recordAct(queryable: Queryable, act: Act): Promise<void> {
  const { facts, decision, span = null, seq, startedAtMs = performance.now(), ...call } = act
  const intent = auditIntent({
    call: { ...call, facts: { arguments: facts }, attempt: 1 },
    decision,
    at: new Date(),
    span,
  })
  await insertAudit(queryable, {
    id: randomUUID(),
    tenant: act.principal.tenant,
    intent: seq === undefined ? intent : { ...intent, effect_seq: Number(seq) },
    outcome: auditOutcome({ status: 'ok' }, startedAtMs),
  })
}

/** What stands for evidence that no record can hold; `sha256` is that of its text as it was read. */
export function setAsideIntent({ tenant, sha256, at }: { tenant: string; sha256: string; at: Date }): AuditIntent {
  const call = {
    principal: { ...housePrincipal('evidence'), tenant },
    action: 'evidence.set-aside',
    resource: { kind: 'evidence', name: 'evidence' },
    facts: { arguments: undefined },
    origin: 'house',
    effectKey: `set-aside:${sha256}`,
    attempt: 1,
  } as const
  const decision = ownDecision('evidence-set-aside', 'Evidence that no record can hold is set aside by its hash.')
  return { ...auditIntent({ call, decision, at, span: null }), input_sha256: sha256 }
}
