// The one error this client throws for a refusal, a broken reply or a server that cannot be reached. Every route family
// has its own body; all become the same five members.

export type GatehouseErrorFacts = {
  /** HTTP status; 0 when no reply came. */
  readonly status: number
  readonly code: string
  readonly requestId?: string | undefined
  readonly retryAfterSeconds?: number | undefined
  /** Further public members of the refusal, such as `required` and `available` of a 402. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
  readonly cause?: unknown
}

/**
 * A request that was not served. `code` is permanent, the message may improve.
 *
 * @example
 * try {
 *   await client.wallet.balance()
 * } catch (error) {
 *   if (error instanceof GatehouseError && error.status === 429) await wait(error.retryAfterSeconds ?? 1)
 *   else throw error
 * }
 */
export class GatehouseError extends Error {
  readonly status: number
  readonly code: string
  readonly requestId: string | undefined
  readonly retryAfterSeconds: number | undefined
  readonly details: Readonly<Record<string, unknown>>
  constructor(message: string, facts: GatehouseErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.name = 'GatehouseError'
    this.status = facts.status
    this.code = facts.code
    this.requestId = facts.requestId
    this.retryAfterSeconds = facts.retryAfterSeconds
    this.details = facts.details ?? {}
  }
}

const shown = new Set([
  'error',
  'code',
  'message',
  'title',
  'status',
  'detail',
  'type',
  'instance',
  'error_description',
])

/** Reads a refusal of any family: wallet, control (RFC 9457), edge, OAuth, JSON-RPC and model dialects. */
export function refusalOf(reply: Response, text: string): GatehouseError {
  const body = membersOf(parsed(text))
  const nested = membersOf(body['error'])
  const code = firstText(body['code'], body['error'], nested['code'], nested['type']) ?? `HTTP_${reply.status}`
  const message =
    firstText(body['message'], body['detail'], body['error_description'], nested['message'], body['title']) ??
    `The server answered ${reply.status}.`
  return new GatehouseError(message, {
    status: reply.status,
    code,
    requestId: reply.headers.get('x-request-id') ?? firstText(body['instance']),
    retryAfterSeconds: secondsOf(reply.headers.get('retry-after')),
    details: Object.fromEntries(Object.entries(body).filter(([name]) => !shown.has(name))),
  })
}

/** A reply that breaks the contract. */
export function brokenReply(status: number, sentence: string, cause?: unknown): GatehouseError {
  return new GatehouseError(sentence, { status, code: 'REPLY_INVALID', cause })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

function firstText(...values: readonly unknown[]): string | undefined {
  const found = values.find((value) => (typeof value === 'string' && value !== '') || typeof value === 'number')
  return found === undefined ? undefined : String(found)
}

// RFC 9110 §10.2.3: seconds or a date.
function secondsOf(header: string | null): number | undefined {
  if (header === null) return undefined
  if (/^\d{1,9}$/.test(header.trim())) return Number(header)
  const at = Date.parse(header)
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - Date.now()) / 1000))
}
