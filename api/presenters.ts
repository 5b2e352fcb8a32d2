// One internal error, one body per route family (contracts 1.3). Presenters see codes and whitelisted details, never
// causes.
import { databaseFault } from '../db/fault.ts'
import { GatewayError, toError, type ErrorCode, type ErrorDetails } from '../domain/errors.ts'
import type { MeterSigns } from '../gateway/meters.ts'
import { meterHeaders } from './meter-headers.ts'
import { hidesReason, problemOf } from './problem.ts'
import type { Family } from './route.ts'

export type Presented = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
  /** The bug or refusal behind it, for the log. */
  readonly error: Error
  readonly code: ErrorCode
}

/** Turns anything thrown into a reply of the family. What is not a GatewayError is a bug: 500 without detail. */
export function present(family: Family, thrown: unknown, requestId: string): Presented {
  const caught = toError(thrown)
  const error = caught instanceof GatewayError ? caught : (databaseFault(caught) ?? caught)
  const code: ErrorCode = error instanceof GatewayError ? error.code : 'internal'
  const problem = problemOf(code)
  const message = !(error instanceof GatewayError) || hidesReason(code) ? problem.title : error.message
  const details = error instanceof GatewayError ? allowed(error.details, problem.details ?? []) : {}
  const headers: Record<string, string> = {}
  const retryAfterMs = error instanceof GatewayError ? error.retryAfterMs : undefined
  const retryAfter =
    retryAfterMs === undefined ? problem.retryAfterSeconds : Math.max(1, Math.ceil(retryAfterMs / 1000))
  if (retryAfter !== undefined && (problem.status === 429 || problem.status === 503))
    headers['retry-after'] = String(retryAfter)
  Object.assign(headers, meterHeaders(signsOfError(code, details)))
  if (problem.status === 401) headers['www-authenticate'] = 'Bearer'
  const bodies: Record<Family, () => unknown> = {
    wallet: () => ({ error: problem.wire, code: problem.wire, message, ...details }),
    plain: () => ({ error: problem.wire, code: problem.wire, message, ...details }),
    edge: () => (problem.status === 401 ? { message: 'Unauthorized' } : { message }),
    control: () => ({
      type: `/problems/${code}`,
      title: problem.title,
      status: problem.status,
      detail: message,
      code,
      instance: requestId,
      ...details,
    }),
  }
  if (family === 'control') headers['content-type'] = 'application/problem+json'
  return { status: problem.status, headers, body: bodies[family](), error, code }
}

// A refusal by a rate or quota says what it would have said had it passed.
function signsOfError(code: ErrorCode, { remaining, resetAt }: ErrorDetails): MeterSigns {
  if (typeof remaining !== 'number' || typeof resetAt !== 'string') return {}
  return code === 'quota-exceeded' ? { quotaRemaining: remaining, quotaResetAt: resetAt } : { rateRemaining: remaining }
}

function allowed(details: ErrorDetails, names: readonly string[]): ErrorDetails {
  return Object.fromEntries(Object.entries(details).filter(([name]) => names.includes(name)))
}
