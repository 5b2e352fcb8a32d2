// What every request carries before any work: its ids, and the checks of Host and Origin that keep other sites and
// rebound names out.
import { randomBytes, randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../domain/errors.ts'

export type RequestIds = { readonly requestId: string; readonly traceId: string; readonly spanId: string }

// W3C Trace Context §3.2: ids of zeros are invalid, and then the whole header is ignored.
const traceparent = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** Ids of the request; a valid W3C traceparent is continued. */
export function idsOf(request: IncomingMessage): RequestIds {
  const header = request.headers['traceparent']
  const inherited = typeof header === 'string' ? traceparent.exec(header)?.[1] : undefined
  const traceId = inherited ?? randomBytes(16).toString('hex')
  return { requestId: randomUUID(), traceId, spanId: randomBytes(8).toString('hex') }
}

export type DoorFacts = {
  /** Host headers that are served, such as `127.0.0.1:4300`. */
  readonly hosts: ReadonlySet<string>
  /** Origins of our own pages. */
  readonly origins: ReadonlySet<string>
  /** Origin of the Temporal UI, which may call the codec routes. */
  readonly temporalUiOrigin: string | undefined
  /** Reverse proxies in front of us. */
  readonly proxies: number
}

/** The facts of an API reachable at `publicUrl` and on loopback at `port`. */
export function doorFacts(options: {
  publicUrl: string
  port: number
  temporalUiUrl: string | undefined
  proxies: number
}): DoorFacts {
  const own = new URL(options.publicUrl)
  const local = ['127.0.0.1', 'localhost', '[::1]'].map((name) => `${name}:${options.port}`)
  return {
    hosts: new Set([own.host, ...local]),
    origins: new Set([own.origin, ...local.map((host) => `http://${host}`)]),
    temporalUiOrigin: options.temporalUiUrl === undefined ? undefined : new URL(options.temporalUiUrl).origin,
    proxies: options.proxies,
  }
}

/**
 * Network address of the caller. Each proxy appends the address that it saw, so that only the last entries are to be
 * believed, as many as there are proxies; what a client sends itself stands before them.
 */
export function callerOf(request: IncomingMessage, { proxies }: Pick<DoorFacts, 'proxies'>): string | undefined {
  const forwarded = proxies === 0 ? [] : String(request.headers['x-forwarded-for'] ?? '').split(',')
  const [, bracketed, v4, v6] = forwardedAddress.exec(forwarded.at(-proxies)?.trim() ?? '') ?? []
  return (bracketed ?? v4 ?? v6)?.toLowerCase() ?? request.socket.remoteAddress
}

// Some proxies write the port as well.
const forwardedAddress = /^(?:\[([\da-f.:]+)\](?::\d+)?|(\d+(?:\.\d+){3})(?::\d+)?|([\da-f:.]*:[\da-f:.]*))$/i

/** Whether the caller is on this machine. */
export function isLoopback(caller: string | undefined): boolean {
  return caller === '::1' || /^(?:::ffff:)?127\./.test(caller ?? '')
}

/** Refuses a foreign Host (DNS rebinding) and a foreign Origin. A request without Origin is no browser's. */
export function checkDoor(request: IncomingMessage, facts: DoorFacts, servesTemporalUi: boolean): void {
  if (!namesOf(request).every((name) => facts.hosts.has(name)))
    throw new GatewayError('host-refused', 'This host name is not served here.')
  const origin = request.headers.origin
  if (origin === undefined || facts.origins.has(origin)) return
  if (servesTemporalUi && origin === facts.temporalUiOrigin) return
  throw new GatewayError('origin-refused', 'Requests from this origin are refused.')
}

// RFC 9112 §3.2: exactly one Host field; §3.2.2: the authority of an absolute target counts as well. What is no name is
// the empty one, which nobody serves.
function namesOf({ rawHeaders, url = '' }: IncomingMessage): string[] {
  const hosts = rawHeaders.filter((_value, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'host')
  const [host = ''] = hosts.length === 1 ? hosts : []
  if (url.startsWith('/') || url === '*') return [host.toLowerCase()]
  return [host.toLowerCase(), /^http:\/\/([^/?#]*)/i.exec(url)?.[1]?.toLowerCase() ?? '']
}
