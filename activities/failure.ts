// What each error code means to Temporal: try again, or stop. Complete by type. Causes never cross the line: they may
// quote prompts and headers.
import { ApplicationFailure } from '@temporalio/common'
import { GatewayError, toError, type ErrorCode } from '../domain/errors.ts'

type Verdict = 'retryable' | 'final'

const retryable = new Set<ErrorCode>([
  'rate-limited',
  'upstream-timeout',
  'upstream-unavailable',
  'upstream-rate-limited',
  'tool-server-unavailable',
  'tool-timeout',
  'revocation-feed-stale',
  'durable-unavailable',
  'database-unavailable',
])

/** Whether a refusal may go away by itself. */
export function verdictOf(code: ErrorCode): Verdict {
  return retryable.has(code) ? 'retryable' : 'final'
}

/** The failure Temporal sees: type = our code, the message of ours, the wait the upstream asked for. */
export function toFailure(thrown: unknown): ApplicationFailure {
  if (thrown instanceof ApplicationFailure) return thrown
  if (!(thrown instanceof GatewayError)) {
    // An unexpected fault of a driver or a bug: tried again within the policy, told by its class only.
    return ApplicationFailure.create({
      message: `unexpected ${toError(thrown).name}`,
      type: 'internal',
      nonRetryable: false,
    })
  }
  return ApplicationFailure.create({
    message: thrown.message,
    type: thrown.code,
    nonRetryable: verdictOf(thrown.code) === 'final',
    ...(thrown.retryAfterMs === undefined ? {} : { nextRetryDelay: thrown.retryAfterMs }),
  })
}
