// What a caller of the pipeline makes of an answer that is no yes.
import { GatewayError, type ErrorCode } from '../domain/errors.ts'
import type { Requirement } from '../domain/policy/rule.ts'
import type { Answer } from './call.ts'

/** Code of what a policy asks for beside the call: a person, a fresh proof, a better credential. */
export const codeOfRequirement = {
  approval: 'approval-required',
  'step-up': 'step-up-required',
  assurance: 'assurance-required',
} as const satisfies Readonly<Record<Requirement, ErrorCode>>

/** The error of a call that was held or refused. */
export function errorOf(answer: Exclude<Answer<unknown>, { kind: 'done' }>): GatewayError {
  if (answer.kind === 'held') {
    const { requirement, reason, ruleIds } = answer.decision
    return new GatewayError(codeOfRequirement[requirement], reason, { details: { rules: ruleIds.join(', '), reason } })
  }
  const { code, reason, retryAfterMs, details } = answer
  return new GatewayError(code, reason, { retryAfterMs, ...(details === undefined ? {} : { details }) })
}
