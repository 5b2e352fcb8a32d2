// The one call record that every door and every activity hands to the pipeline, and what comes back.
import type { ErrorCode, ErrorDetails, GatewayError } from '../domain/errors.ts'
import type { Decision } from '../domain/policy/combine.ts'
import type { Action, Facts, Resource, Session } from '../domain/policy/rule.ts'
import type { RetentionClass } from '../domain/retention.ts'
import type { Principal } from '../domain/principal.ts'
import type { MeterSigns } from './meters.ts'
import type { HoldOrder, Recorder } from './ports.ts'

export type Call = {
  readonly principal: Principal
  readonly session: Session
  readonly action: Action
  readonly resource: Resource
  readonly facts: Facts
  /** Where the call came from: `http`, `chat`, `mcp`. */
  readonly origin: string
  /** Logical identity of the effect over all its attempts, such as `<turnId>:m1` or `<turnId>:<toolCallId>`. */
  readonly effectKey: string
  /** Which attempt of the effect this is, from 1. */
  readonly attempt: number
  readonly turn?: { readonly turnId: string; readonly try: number; readonly step: number }
  /** Present for anything priced. Makes the call governed whatever its class. */
  readonly hold?: HoldOrder
  /** Tokens that a model call is expected to use; what it used is counted afterwards. */
  readonly tokens?: number
  readonly signal: AbortSignal
}

/**
 * What an effect gets: the id and order of its attempt (null for a lean read), the signal it must obey, and how long its
 * payload may be kept.
 */
export type EffectContext = {
  readonly attemptId: string
  readonly seq: bigint | null
  readonly signal: AbortSignal
  readonly retention: RetentionClass
}

/** What an effect gives back. `record` runs in the transaction that ends the attempt and stores the audit outcome. */
export type EffectResult<T> = {
  readonly value: T
  readonly output?: unknown
  readonly usage?: Readonly<Record<string, number>>
  readonly costMicros?: bigint
  readonly record?: Recorder
  /** The effect failed after it had cost something: usage and rows are recorded as given, then this is thrown. */
  readonly fault?: GatewayError
}

export type Effect<T> = (context: EffectContext) => Promise<EffectResult<T>>

/** `held`: policy wants a person (approval) or more of the caller (step-up, assurance). */
export type Answer<T> =
  | {
      readonly kind: 'done'
      readonly value: T
      readonly decision: Decision
      readonly signs: MeterSigns
      /** Gives back what rates and quotas took: what was admitted did not happen after all. */
      readonly undo: () => Promise<void>
    }
  | { readonly kind: 'held'; readonly decision: Extract<Decision, { kind: 'require' }> }
  | {
      readonly kind: 'refused'
      readonly code: Extract<
        ErrorCode,
        | 'policy-refused'
        | 'policy-stale'
        | 'revoked'
        | 'revocation-feed-stale'
        | 'evidence-unavailable'
        | 'insufficient-funds'
        | 'budget-exceeded'
        | 'minimum-balance'
        | 'scope-inactive'
        | 'money-stopped'
        | 'turn-cancelled'
        | 'rate-limited'
        | 'quota-exceeded'
      >
      readonly reason: string
      /** When it may pass; absent when nobody knows. */
      readonly retryAfterMs?: number
      readonly details?: ErrorDetails
      readonly decision: Decision | null
    }

/** What a door's own admission is given. `meter` throws what refuses: `rate-limited`, `quota-exceeded`. */
export type Admission = { readonly record: Recorder; readonly meter: () => Promise<void> }

export type Pipeline = {
  /** Decides, admits, runs the effect, records. Throws what the effect throws, after recording it. */
  readonly run: <T>(call: Call, effect: Effect<T>) => Promise<Answer<T>>
  /**
   * Decides without an effect. `enter` is the admission of a door that has one of its own (a chat turn): it calls
   * `record` in its transaction, so that record and admission stand together, and `meter` before it admits something new:
   * a replay consumes nothing. What it throws is recorded instead, and what was metered is given back.
   */
  readonly admit: {
    (call: Omit<Call, 'signal'>): Promise<Answer<null>>
    <T>(call: Omit<Call, 'signal'>, enter: (admission: Admission) => Promise<T>): Promise<Answer<T>>
  }
}
