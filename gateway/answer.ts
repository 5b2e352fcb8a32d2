// What a caller of the pipeline makes of an answer that is no yes.
import { GatewayError } from '../domain/errors.ts'
import type { Answer } from './call.ts'

/** The error of a call that was held or refused. */
export function errorOf(answer: Exclude<Answer<unknown>, { kind: 'done' }>): GatewayError {
  if (answer.kind === 'held') return new GatewayError('approval-required', answer.decision.reason)
  const { code, reason, retryAfterMs, details } = answer
  return new GatewayError(code, reason, { retryAfterMs, ...(details === undefined ? {} : { details }) })
}
