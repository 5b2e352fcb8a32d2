// What the pipeline needs from others and nobody below provides by itself. Adapters fit structurally; the compiler
// checks the fit where they are assembled.
import type { SpendingNames } from '../db/budget.ts'
import type { Client } from '../db/pool.ts'
import type { GateScope } from '../domain/revocation.ts'
import type { PolicySet } from '../domain/policy/combine.ts'
import type { Adjustment, QuotaAnswer, Take } from '../domain/quota.ts'
import type { Role } from '../domain/principal.ts'
import type { AuditIntent, AuditOutcome } from '../schemas/audit.ts'

export type Clock = () => Date

/** Membership of wallets, read per decision. An unlisted wallet is its own tenant and its owner. */
export type Members = { readonly of: (wallet: string) => { readonly tenant: string; readonly roles: readonly Role[] } }

/** The active policy; a new set replaces the old one whole. */
export type PolicySource = {
  readonly current: () => PolicySet
  /** False when it was not looked at lately: a newer set may decide elsewhere. Absent for a set that never changes. */
  readonly isFresh?: () => boolean
  /** Whether the last known set may still permit reads of low risk. */
  readonly permits?: () => boolean
}

/** The replicated revocation set of this process. */
export type Epochs = {
  /** Present epoch of a scope as far as this process knows; 0 when never revoked. */
  readonly epochOf: (scope: string) => number
  /** False when the feed is older than `revocationFeedStaleMs`: effects are refused. */
  readonly isFresh: () => boolean
  /** A signal that aborts when one of the scopes is revoked; release it when the effect is over. */
  readonly watch: (gate: readonly GateScope[]) => { readonly signal: AbortSignal; readonly release: () => void }
}

export type StreamEvent = {
  readonly streamId: string
  readonly kind: string
  readonly body: unknown
  /** Number of the attempt that writes; a lower one than the stream's is refused. Absent: unfenced. */
  readonly fence?: bigint
}

export type StreamChunk = { readonly seq: bigint; readonly kind: string; readonly body: unknown; readonly at: Date }

/** Ordered events of many streams, over replicas. */
export type TokenBus = {
  /** Resolves when the event is stored; false when its fence was refused or the stream is closed. */
  readonly append: (event: StreamEvent) => Promise<boolean>
  readonly read: (streamId: string, afterSeq: bigint, limit: number) => Promise<readonly StreamChunk[]>
  /** Calls `wake` when the stream may have advanced; answers the unsubscriber. */
  readonly subscribe: (streamId: string, wake: () => void) => () => void
  /** Takes no more events; with a fence, unless the stream has gone on to a higher one. */
  readonly close: (streamId: string, fence?: bigint) => Promise<void>
}

/**
 * What a reservation is kept with. The named members are obeyed: chat session, runtime scope and reflection are counted
 * against their budgets, `minimumMicros` is the policy's minimum balance where the wallet has set none.
 */
export type HoldMeta = SpendingNames & {
  readonly minimumMicros?: string
  readonly [name: string]: string | number | boolean | undefined
}

/** Reservation taken with the attempt row. `revenue`: account credited (2 model, 3 tool). */
export type HoldOrder = {
  readonly id: string
  readonly revenue: 2 | 3
  readonly amountMicros: bigint
  readonly code: number
  readonly agentId: string
  readonly workflowId: string
  readonly meta: HoldMeta
}

/** Work done in the transaction that records an outcome: message rows, postings. */
export type Recorder = (client: Client) => Promise<void>

/** An intent that was written; it goes back with its outcome. */
export type BegunEvidence = { readonly id: string }

/**
 * Evidence outside any transaction, kept over the death of the process. Each call resolves when it is written, and
 * rejects with `evidence-unavailable` when it is not.
 */
export type Spool = {
  /** False when evidence cannot be written now: effects are refused. */
  readonly isOpen: () => boolean
  /** What is about to be done. */
  readonly begin: (id: string, intent: AuditIntent) => Promise<BegunEvidence>
  /** How it ended. */
  readonly end: (begun: BegunEvidence, outcome: AuditOutcome) => Promise<void>
  /** A decision after which nothing is done. */
  readonly write: (id: string, evidence: { intent: AuditIntent; outcome: AuditOutcome }) => Promise<void>
}

/** Counters of rates and quotas. Any store that keeps the arithmetic of `domain/quota.ts` may stand behind it. */
export type QuotaStore = {
  /** Takes from all counters, or from none. */
  readonly take: (takes: readonly Take[]) => Promise<QuotaAnswer>
  /** Gives back, or counts more, of what was taken. */
  readonly adjust: (changes: readonly Adjustment[]) => Promise<void>
  /** Forgets counters of which nothing counts any more. Answers how many. */
  readonly purge: () => Promise<number>
}

/** Versions of the installation's transcript key: the newest wraps, every one unwraps. */
export type KeyRing = {
  readonly active: () => Promise<{ readonly version: number; readonly key: Uint8Array }>
  /** Undefined when this installation does not have it. */
  readonly of: (version: number) => Promise<Uint8Array | undefined>
}
