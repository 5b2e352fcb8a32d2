// What each error code means to Temporal: try again, or stop. Complete by type. Causes never cross the line: they may
// quote prompts and headers.
import { ApplicationFailure } from '@temporalio/common'
import { GatewayError, InvariantError, toError, type ErrorCode } from '../domain/errors.ts'

type Verdict = 'retryable' | 'final'

const verdicts: Record<ErrorCode, Verdict> = {
  'request-malformed': 'final',
  'request-too-large': 'final',
  'request-invalid': 'final',
  'content-type-unsupported': 'final',
  'method-not-allowed': 'final',
  'route-unknown': 'final',
  'host-refused': 'final',
  'origin-refused': 'final',
  'credential-missing': 'final',
  'credential-malformed': 'final',
  'credential-expired': 'final',
  'credential-invalid': 'final',
  'credential-revoked': 'final',
  'challenge-expired': 'final',
  'signature-invalid': 'final',
  'address-mismatch': 'final',
  'permission-missing': 'final',
  'policy-refused': 'final',
  'approval-required': 'final',
  'step-up-required': 'final',
  'assurance-required': 'final',
  revoked: 'final',
  'revocation-feed-stale': 'retryable', // the feed comes back by itself
  'policy-stale': 'retryable', // refused before the effect
  'not-found': 'final',
  'session-limit': 'final',
  'agent-limit': 'final',
  'session-draining': 'retryable',
  'session-closed': 'final',
  'turn-queue-full': 'final',
  'turn-conflict': 'retryable', // another attempt recorded the step: the next one finds it stored
  'turn-not-accepted': 'final',
  'turn-cancelled': 'final',
  'idempotency-key-reused': 'final',
  'idempotency-key-busy': 'retryable', // the other request ends
  'idempotency-reply-lost': 'final',
  'faucet-used': 'final',
  'model-unknown': 'final',
  'missing-secrets': 'final',
  'insufficient-funds': 'final',
  'budget-exceeded': 'final',
  'budget-limit': 'final',
  'minimum-balance': 'final',
  'scope-inactive': 'final',
  'scope-limit': 'final',
  'policy-invalid': 'final',
  'policy-from-file': 'final',
  'policy-limit': 'final',
  'money-stopped': 'final', // until an operator has looked
  'rate-limited': 'retryable',
  'quota-exceeded': 'final', // until midnight UTC
  'upstream-timeout': 'retryable',
  'upstream-unavailable': 'retryable',
  'upstream-rate-limited': 'retryable',
  'upstream-refused': 'final',
  'upstream-invalid': 'final',
  'tool-server-unavailable': 'retryable',
  'tool-unknown': 'final',
  'tool-arguments-invalid': 'final',
  'tool-timeout': 'retryable',
  'tool-result-too-large': 'final',
  'tool-failed': 'final',
  'durable-unavailable': 'retryable',
  'database-unavailable': 'retryable',
  'evidence-unavailable': 'retryable', // refused before the effect; the spool empties by itself
  'transcript-locked': 'final', // until an operator has brought the key
  internal: 'retryable', // a fault of a driver; broken invariants are told apart below
}

/** Whether a refusal may go away by itself. */
export function verdictOf(code: ErrorCode): Verdict {
  return verdicts[code]
}

/** The failure Temporal sees: type = our code, the message of ours, the wait the upstream asked for. */
export function toFailure(thrown: unknown): ApplicationFailure {
  if (thrown instanceof ApplicationFailure) return thrown
  if (!(thrown instanceof GatewayError)) {
    // A fault of a driver is tried again within the policy, a bug is not; either is told by its class only.
    return ApplicationFailure.create({
      message: `unexpected ${toError(thrown).name}`,
      type: 'internal',
      nonRetryable: thrown instanceof InvariantError,
    })
  }
  return ApplicationFailure.create({
    message: thrown.message,
    type: thrown.code,
    nonRetryable: verdictOf(thrown.code) === 'final',
    ...(thrown.retryAfterMs === undefined ? {} : { nextRetryDelay: thrown.retryAfterMs }),
  })
}
