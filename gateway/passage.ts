// One call on its way through the pipeline, and what the steps work with.
import type { Pool } from '../db/pool.ts'
import type { Decision } from '../domain/policy/combine.ts'
import type { GateScope } from '../domain/revocation.ts'
import type { Events } from '../telemetry/events.ts'
import type { SpanIds } from '../telemetry/tracing.ts'
import type { Answer, Call } from './call.ts'
import type { TakenMeters } from './meters.ts'
import type { BegunEvidence, Epochs, PolicySource, QuotaStore, Spool } from './ports.ts'

export type PipelineDeps = {
  readonly pool: Pool
  readonly epochs: Epochs
  readonly policy: PolicySource
  /** Evidence of what has no transaction of its own; woken when something waits in the table. */
  readonly evidence: Spool & { readonly wake: () => void }
  readonly quota: QuotaStore
  readonly events: Pick<Events, 'decisionMade'>
  /** Ids of the span that is active, if any. */
  readonly spanIds: () => SpanIds | null
}

export type Passage = {
  readonly call: Omit<Call, 'signal'>
  readonly gate: readonly GateScope[]
  readonly decision: Decision
  readonly at: Date
  readonly startedAtMs: number
  /** Present once a governed effect was admitted: its attempt row and audit intent are committed. */
  readonly attempt: { readonly id: string; readonly seq: bigint } | null
  /** Present once a lean read was admitted: its intent is in the spool. */
  readonly begun: BegunEvidence | null
  /** Present once rates and quotas were taken. */
  readonly taken: TakenMeters | null
}

export type Held = Extract<Answer<never>, { kind: 'held' }>
export type Refused = Extract<Answer<never>, { kind: 'refused' }>
export type Refusal = Pick<Refused, 'code' | 'reason' | 'retryAfterMs' | 'details'>

/** Answers the passage, with what it added, or what ends it. */
export type Step = (deps: PipelineDeps, passage: Passage) => Promise<Passage | Held | Refused>
