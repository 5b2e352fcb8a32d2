// Every way a request can be refused, as one closed union of public, permanent codes. This file knows neither HTTP nor
// Temporal: `api/problem.ts` and `activities/failure.ts` each hold a complete table over these codes.

export const errorCodes = [
  // Requests that cannot be understood.
  'request-malformed',
  'request-too-large',
  'request-invalid',
  'content-type-unsupported',
  'method-not-allowed',
  'route-unknown',
  'host-refused',
  'origin-refused',
  // Who is calling. All of them share one public text.
  'credential-missing',
  'credential-malformed',
  'credential-expired',
  'credential-invalid',
  'credential-revoked',
  'challenge-expired',
  'signature-invalid',
  'address-mismatch',
  // What the caller may do.
  'permission-missing',
  'policy-refused',
  'policy-stale',
  'policy-invalid',
  'policy-from-file',
  'policy-limit',
  'approval-required',
  'step-up-required',
  'assurance-required',
  'revoked',
  'revocation-feed-stale',
  // Things that are not there, or not in the right state.
  'not-found',
  'session-limit',
  'agent-limit',
  'session-draining',
  'session-closed',
  'turn-queue-full',
  'turn-conflict',
  'turn-not-accepted',
  'turn-cancelled',
  'idempotency-key-reused',
  'idempotency-key-busy',
  'idempotency-reply-lost',
  'faucet-used',
  'model-unknown',
  'missing-secrets',
  // Money and quantity.
  'insufficient-funds',
  'budget-exceeded',
  'budget-limit',
  'minimum-balance',
  'scope-inactive',
  'scope-limit',
  'money-stopped',
  'rate-limited',
  'quota-exceeded',
  // The outside world.
  'upstream-timeout',
  'upstream-unavailable',
  'upstream-rate-limited',
  'upstream-refused',
  'upstream-invalid',
  'tool-server-unavailable',
  'tool-unknown',
  'tool-arguments-invalid',
  'tool-timeout',
  'tool-result-too-large',
  'tool-failed',
  'durable-unavailable',
  'database-unavailable',
  'evidence-unavailable',
  'transcript-locked',
  'internal',
] as const

export type ErrorCode = (typeof errorCodes)[number]

export type ErrorDetails = Readonly<Record<string, string | number | boolean | null | Readonly<Record<string, string>>>>

export type ErrorOptions = {
  /** Suggested wait before trying again, in milliseconds. */
  readonly retryAfterMs?: number | undefined
  /** Public facts about the refusal; every key is whitelisted per code by the presenter. */
  readonly details?: ErrorDetails | undefined
  readonly cause?: unknown
}

/** A request that cannot be served. Thrown; the message may improve, the code never changes. */
export class GatewayError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C
  readonly retryAfterMs: number | undefined
  readonly details: ErrorDetails
  constructor(code: C, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'GatewayError'
    this.code = code
    this.retryAfterMs = options.retryAfterMs
    this.details = options.details ?? {}
  }
}

/** A broken invariant: a bug of ours, never the caller's fault. */
export class InvariantError extends Error {
  constructor(sentence: string) {
    super(sentence)
    this.name = 'InvariantError'
  }
}

/** States what must hold; a violation is a bug and looks like one. */
export function invariant(condition: unknown, sentence: string): asserts condition {
  if (!condition) throw new InvariantError(sentence)
}

/** The one place where a caught value becomes an Error. */
export function toError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value))
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && (errorCodes as readonly string[]).includes(value)
}
