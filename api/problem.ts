// What each error code means over HTTP: status, title, and the upper-case word of the wallet family. Complete by type: a
// new code does not compile until it has a line here.
import type { ErrorCode } from '../domain/errors.ts'

export type Problem = {
  readonly status: number
  readonly title: string
  /** Code of the families that serve existing clients. */
  readonly wire: string
  /** Seconds of `Retry-After` when the error itself names none. Every 429 and 503 has one. */
  readonly retryAfterSeconds?: number
  /** Details that may leave; others stay in the log. */
  readonly details?: readonly string[]
}

export const problems = {
  'request-malformed': { status: 400, title: 'The request is malformed.', wire: 'MALFORMED_REQUEST' },
  'request-too-large': {
    status: 413,
    title: 'The request is too large.',
    wire: 'PAYLOAD_TOO_LARGE',
    details: ['bytesMax'],
  },
  'request-invalid': { status: 400, title: 'The request is not valid.', wire: 'VALIDATION_ERROR', details: ['field'] },
  'content-type-unsupported': {
    status: 415,
    title: 'The content type is not supported.',
    wire: 'UNSUPPORTED_MEDIA_TYPE',
  },
  'method-not-allowed': { status: 405, title: 'The method is not allowed here.', wire: 'METHOD_NOT_ALLOWED' },
  'route-unknown': { status: 404, title: 'There is nothing at this address.', wire: 'NOT_FOUND' },
  'host-refused': { status: 403, title: 'This host name is not served.', wire: 'HOST_REFUSED' },
  'origin-refused': { status: 403, title: 'Requests from this origin are refused.', wire: 'ORIGIN_REFUSED' },
  'credential-missing': { status: 401, title: 'Authentication failed.', wire: 'NO_IDENTITY_FOUND' },
  'credential-malformed': { status: 401, title: 'Authentication failed.', wire: 'TOKEN_MALFORMED' },
  'credential-expired': { status: 401, title: 'Authentication failed.', wire: 'TOKEN_EXPIRED' },
  'credential-invalid': { status: 401, title: 'Authentication failed.', wire: 'SIGNATURE_INVALID' },
  'credential-revoked': { status: 401, title: 'Authentication failed.', wire: 'SESSION_REVOKED' },
  'challenge-expired': { status: 401, title: 'Authentication failed.', wire: 'CHALLENGE_EXPIRED' },
  'signature-invalid': { status: 401, title: 'Authentication failed.', wire: 'SIGNATURE_INVALID' },
  'address-mismatch': { status: 401, title: 'Authentication failed.', wire: 'ADDRESS_MISMATCH' },
  'permission-missing': {
    status: 403,
    title: 'The credential does not permit this.',
    wire: 'INSUFFICIENT_PERMISSIONS',
    details: ['permission'],
  },
  'policy-refused': {
    status: 403,
    title: 'Policy refuses this.',
    wire: 'POLICY_REFUSED',
    details: ['rules', 'reason'],
  },
  'policy-stale': {
    status: 503,
    title: 'Policies cannot be read right now.',
    wire: 'UNAVAILABLE',
    retryAfterSeconds: 2,
  },
  'policy-invalid': {
    status: 400,
    title: 'The policy is not usable.',
    wire: 'POLICY_INVALID',
    details: ['faults'],
  },
  'policy-from-file': {
    status: 409,
    title: 'A file keeps this policy.',
    wire: 'POLICY_FROM_FILE',
    details: ['file'],
  },
  'policy-limit': {
    status: 409,
    title: 'As many policies are active as may be.',
    wire: 'POLICY_LIMIT',
    details: ['policiesMax'],
  },
  'approval-required': {
    status: 403,
    title: 'A person must approve this.',
    wire: 'APPROVAL_REQUIRED',
    details: ['rules', 'reason'],
  },
  'step-up-required': {
    status: 403,
    title: 'A fresh proof of who you are is needed.',
    wire: 'STEP_UP_REQUIRED',
    details: ['rules', 'reason'],
  },
  'assurance-required': {
    status: 403,
    title: 'A credential of higher assurance is needed.',
    wire: 'ASSURANCE_REQUIRED',
    details: ['rules', 'reason'],
  },
  revoked: { status: 401, title: 'Authentication failed.', wire: 'SESSION_REVOKED' },
  'revocation-feed-stale': {
    status: 503,
    title: 'Revocations cannot be checked right now.',
    wire: 'UNAVAILABLE',
    retryAfterSeconds: 2,
  },
  'not-found': { status: 404, title: 'There is no such object.', wire: 'NOT_FOUND' },
  'session-limit': {
    status: 409,
    title: 'No more sessions may be opened.',
    wire: 'SESSION_LIMIT',
    details: ['sessionsMax'],
  },
  'agent-limit': {
    status: 409,
    title: 'No more agents may be made.',
    wire: 'AGENT_LIMIT',
    details: ['agentsMax'],
  },
  'session-draining': {
    status: 503,
    title: 'The session is rolling over.',
    wire: 'SESSION_DRAINING',
    retryAfterSeconds: 1,
  },
  'session-closed': { status: 409, title: 'The session is closed.', wire: 'SESSION_CLOSED' },
  'turn-queue-full': { status: 409, title: 'Too many turns wait in this session.', wire: 'TURN_QUEUE_FULL' },
  'turn-conflict': { status: 409, title: 'The turn is in another state.', wire: 'TURN_CONFLICT' },
  'turn-not-accepted': {
    status: 503,
    title: 'Nobody took the turn; nothing was charged.',
    wire: 'TURN_NOT_ACCEPTED',
    retryAfterSeconds: 2,
  },
  'turn-cancelled': { status: 409, title: 'The turn was ended.', wire: 'TURN_CANCELLED' },
  'idempotency-key-reused': {
    status: 422,
    title: 'The key belongs to another request.',
    wire: 'IDEMPOTENCY_KEY_REUSED',
  },
  'idempotency-key-busy': {
    status: 409,
    title: 'The request with this key still runs.',
    wire: 'IDEMPOTENCY_KEY_BUSY',
  },
  'idempotency-reply-lost': {
    status: 409,
    title: 'The request was done; its reply was too large to keep.',
    wire: 'IDEMPOTENCY_REPLY_LOST',
  },
  'faucet-used': { status: 409, title: 'This wallet has had its play money.', wire: 'FAUCET_USED' },
  'model-unknown': { status: 400, title: 'The model is not known here.', wire: 'UNKNOWN_MODEL', details: ['model'] },
  'missing-secrets': { status: 400, title: 'A key is missing.', wire: 'missing_secrets', details: ['needsUnlock'] },
  'insufficient-funds': {
    status: 402,
    title: 'The balance does not cover this.',
    wire: 'INSUFFICIENT_FUNDS',
    details: ['required', 'available', 'depositAddress'],
  },
  'budget-exceeded': {
    status: 402,
    title: 'A budget does not cover this.',
    wire: 'BUDGET_EXCEEDED',
    details: ['subject', 'period', 'limitMicroUsd', 'spentMicroUsd', 'resetsAt'],
  },
  'budget-limit': { status: 409, title: 'The wallet has as many budgets as it may.', wire: 'BUDGET_LIMIT' },
  'minimum-balance': {
    status: 402,
    title: 'Less than the minimum balance would be left.',
    wire: 'MINIMUM_BALANCE',
    details: ['minimumMicroUsd', 'required', 'available', 'depositAddress'],
  },
  'scope-inactive': {
    status: 409,
    title: 'The runtime scope is not active.',
    wire: 'SCOPE_INACTIVE',
    details: ['scopeId', 'status'],
  },
  'scope-limit': {
    status: 409,
    title: 'The wallet has as many runtime scopes as it may.',
    wire: 'SCOPE_LIMIT',
    details: ['scopesMax'],
  },
  'money-stopped': {
    status: 503,
    title: 'Spending is stopped until an operator has looked.',
    wire: 'MONEY_STOPPED',
    retryAfterSeconds: 60,
  },
  'rate-limited': {
    status: 429,
    title: 'Too many requests.',
    wire: 'RATE_LIMITED',
    retryAfterSeconds: 1,
    details: ['meter', 'remaining', 'resetAt'],
  },
  'quota-exceeded': {
    status: 429,
    title: 'The quota of this day is used up.',
    wire: 'QUOTA_EXCEEDED',
    retryAfterSeconds: 60,
    details: ['meter', 'remaining', 'resetAt'],
  },
  'upstream-timeout': { status: 504, title: 'The upstream did not answer in time.', wire: 'UPSTREAM_TIMEOUT' },
  'upstream-unavailable': { status: 502, title: 'The upstream is not available.', wire: 'UPSTREAM_UNAVAILABLE' },
  'upstream-rate-limited': {
    status: 503,
    title: 'The upstream is rate limited.',
    wire: 'UPSTREAM_RATE_LIMITED',
    retryAfterSeconds: 5,
  },
  'upstream-refused': { status: 502, title: 'The upstream refused our credential.', wire: 'UPSTREAM_REFUSED' },
  'upstream-invalid': { status: 502, title: 'The upstream answered nonsense.', wire: 'UPSTREAM_INVALID' },
  'tool-server-unavailable': {
    status: 503,
    title: 'The tool server is not available.',
    wire: 'TOOL_SERVER_UNAVAILABLE',
    retryAfterSeconds: 2,
  },
  'tool-unknown': { status: 404, title: 'There is no such tool.', wire: 'TOOL_NOT_FOUND' },
  'tool-arguments-invalid': {
    status: 400,
    title: 'The tool does not take these arguments.',
    wire: 'INVALID_ARGUMENTS',
  },
  'tool-timeout': { status: 504, title: 'The tool did not answer in time.', wire: 'TOOL_TIMEOUT' },
  'tool-result-too-large': { status: 502, title: 'The tool answered too much.', wire: 'TOOL_RESULT_TOO_LARGE' },
  'tool-failed': { status: 502, title: 'The tool failed.', wire: 'TOOL_FAILED' },
  'durable-unavailable': {
    status: 503,
    title: 'The durable service is not available.',
    wire: 'UNAVAILABLE',
    retryAfterSeconds: 2,
  },
  'evidence-unavailable': {
    status: 503,
    title: 'What is done cannot be recorded, so nothing is done.',
    wire: 'UNAVAILABLE',
    retryAfterSeconds: 2,
  },
  'transcript-locked': {
    status: 503,
    title: 'The key of the transcript is not here.',
    wire: 'TRANSCRIPT_LOCKED',
    retryAfterSeconds: 60, // an operator brings the key
  },
  'database-unavailable': {
    status: 503,
    title: 'The database is not available.',
    wire: 'UNAVAILABLE',
    retryAfterSeconds: 2,
  },
  internal: { status: 500, title: 'Something is broken on our side.', wire: 'INTERNAL_ERROR' },
} as const satisfies Record<ErrorCode, Problem>

/** The line of a code, with its optional members visible. */
export function problemOf(code: ErrorCode): Problem {
  return problems[code]
}

const hiddenReasons = new Set<ErrorCode>([
  'credential-missing',
  'credential-malformed',
  'credential-expired',
  'credential-invalid',
  'credential-revoked',
  'signature-invalid',
  'address-mismatch',
  'challenge-expired',
  'revoked',
])

/** Whether the message of this code stays in the log: authentication failures share one public text. */
export function hidesReason(code: ErrorCode): boolean {
  return hiddenReasons.has(code)
}
