// Exit codes are part of the interface: scripts branch on them. The table is in docs/command-line.md.
import { GatehouseError } from '../sdk/client.ts'

export const exitCodes = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  notSignedIn: 3,
  refused: 4,
  notFound: 5,
  funds: 6,
  rate: 7,
  server: 8,
  file: 9,
  broken: 10,
  cancelled: 130,
} as const

/** Wrong words on the command line. The message says what was expected. */
export class UsageError extends Error {
  constructor(sentence: string) {
    super(sentence)
    this.name = 'UsageError'
  }
}

/** Nobody is signed in at this address, as far as this machine knows. */
export class NotSignedInError extends Error {
  constructor(sentence: string) {
    super(sentence)
    this.name = 'NotSignedInError'
  }
}

const faults: Readonly<Record<string, string>> = {
  EISDIR: 'is a folder',
  ENOTDIR: 'lies below something that is no folder',
  EACCES: 'is closed to you',
  EPERM: 'is closed to you',
  EROFS: 'lies on a disk that is read-only',
  ENOSPC: 'does not fit on the disk',
  ELOOP: 'is a link to itself',
  ENAMETOOLONG: 'has too long a name',
  EBUSY: 'is held by another command',
  EFBIG: 'is too large',
  EBADMSG: 'does not hold what it should; remove it and sign in again',
}

/** A file of this machine that cannot be used, by the system's own word for why. */
export class FileError extends Error {
  constructor(path: string, code: string | undefined, cause?: unknown) {
    super(`${path} ${faults[code ?? ''] ?? `cannot be used (${code ?? 'unknown fault'})`}.`, { cause })
    this.name = 'FileError'
  }
}

const byStatus: Readonly<Record<number, number>> = {
  400: exitCodes.usage,
  401: exitCodes.notSignedIn,
  402: exitCodes.funds,
  403: exitCodes.refused,
  404: exitCodes.notFound,
  413: exitCodes.usage,
  415: exitCodes.usage,
  422: exitCodes.usage,
  429: exitCodes.rate,
}

/** The exit code of anything thrown. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage
  if (error instanceof NotSignedInError) return exitCodes.notSignedIn
  if (error instanceof FileError) return exitCodes.file
  if (!(error instanceof GatehouseError)) return exitCodes.unexpected
  if (error.code === 'REPLY_INVALID') return exitCodes.unexpected
  if (error.code === 'DOMAIN_MISMATCH' || error.code === 'STATEMENT_MISMATCH') return exitCodes.refused
  if (error.code === 'SINK_FAILED' || error.code === 'SINK_REFUSED') return exitCodes.server // its 401 is not ours
  if (error.status === 0 || error.status >= 500) return exitCodes.server
  return byStatus[error.status] ?? exitCodes.unexpected
}

// Each code of an `error` event has the exit code of its HTTP status; a test holds this to the server's table.
const byEventCode: readonly (readonly [RegExp, number])[] = [
  [/^TURN_CANCELLED$/, exitCodes.cancelled],
  [/^(INSUFFICIENT_FUNDS|BUDGET_EXCEEDED|MINIMUM_BALANCE)$/, exitCodes.funds],
  [/^(RATE_LIMITED|QUOTA_EXCEEDED)$/, exitCodes.rate],
  [/^(POLICY_REFUSED|\w+_REQUIRED|INSUFFICIENT_PERMISSIONS|PERMISSION_MISSING)$/, exitCodes.refused],
  [/^(HOST|ORIGIN)_REFUSED$/, exitCodes.refused],
  [/^(SESSION_REVOKED|REVOKED|TOKEN_\w+|CREDENTIAL_\w+|NO_IDENTITY_FOUND)$/, exitCodes.notSignedIn],
  [/^(CHALLENGE_EXPIRED|SIGNATURE_INVALID|ADDRESS_MISMATCH)$/, exitCodes.notSignedIn],
  [/^(NOT_FOUND|ROUTE_UNKNOWN|TOOL_(UNKNOWN|NOT_FOUND))$/, exitCodes.notFound],
  [/^(REQUEST_\w+|MALFORMED_REQUEST|PAYLOAD_TOO_LARGE|VALIDATION_ERROR|POLICY_INVALID)$/, exitCodes.usage],
  [/^(UNSUPPORTED_MEDIA_TYPE|CONTENT_TYPE_UNSUPPORTED|UNKNOWN_MODEL|MODEL_UNKNOWN)$/, exitCodes.usage],
  [/^(MISSING_SECRETS|INVALID_ARGUMENTS|TOOL_ARGUMENTS_INVALID|IDEMPOTENCY_KEY_REUSED)$/, exitCodes.usage],
  [/^(UPSTREAM_\w+|\w*UNAVAILABLE|\w+_STALE|INTERNAL(_ERROR)?|MONEY_STOPPED|TRANSCRIPT_LOCKED)$/, exitCodes.server],
  [/^(SESSION_DRAINING|TURN_NOT_ACCEPTED|TOOL_(TIMEOUT|FAILED|RESULT_TOO_LARGE))$/, exitCodes.server],
]

/** The exit code of a turn that ended in an `error` event; codes come in either spelling. */
export function exitCodeOfEvent(code: string | undefined): number {
  const word = (code ?? '').toUpperCase().replaceAll('-', '_')
  return byEventCode.find(([pattern]) => pattern.test(word))?.[1] ?? exitCodes.unexpected
}
