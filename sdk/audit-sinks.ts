// Where evidence is sent: a store that hands out presigned places, or a collector of events. Three tries each, no
// redirect, bounded in time and size.
import { ocsfEvent } from '../domain/ocsf.ts'
import { sinkFault } from '../domain/sink-address.ts'
import { auditDeliveryTries, auditDeliveryWaitMs, auditSinkAnswerCharsMax, auditSinkMs } from '../domain/limits.ts'
import { UploadPlace } from '../schemas/audit-delivery.ts'
import { RedactedLine } from '../schemas/audit-export.ts'
import type { Part } from './audit-delivery.ts'
import { GatehouseError } from './errors.ts'
import type { Fetch } from './http.ts'

export type SinkFacts = {
  readonly fetch: Fetch
  /** Presigner or collector. */
  readonly url: string
  /** Bearer token of the presigner or collector; never sent to a presigned place. */
  readonly token?: string | undefined
  readonly sha256: (text: string) => string | Promise<string>
  readonly signal?: AbortSignal | undefined
  /** Wait before the second try; twice that before the third. */
  readonly waitMs?: number
}

type Send = (part: Part) => Promise<void>

/** Asks for a place, then puts the file there: new, or not at all. A place that has the name already has the records. */
export function presignedStore(facts: SinkFacts): Send {
  refuseBad(facts.url)
  return async (part) => {
    const body = `${part.lines.join('\n')}\n`
    const about = {
      name: `${part.name}.ndjson`,
      from: part.from.seq + 1,
      to: part.to.seq,
      bytes: new TextEncoder().encode(body).length,
      sha256: await facts.sha256(body),
    }
    await tried(facts, async () => {
      const asked = await ask(facts, { method: 'POST', url: facts.url, body: JSON.stringify(about), own: true })
      const place = UploadPlace.safeParse(jsonOf(asked.text)).data
      if (!place) throw new GatehouseError('The store named no place.', { status: asked.status, code: 'SINK_REFUSED' })
      refuseBad(place.url, facts.url)
      // RFC 9110 §13.1.2: stored only where nothing is yet, so that a lost answer costs no second copy.
      const headers = { 'content-type': 'application/x-ndjson', ...place.headers, 'if-none-match': '*' }
      await ask(facts, { method: 'PUT', url: place.url, body, headers, fine: 412 })
    })
  }
}

/** Posts records as OCSF events, an array a part, under a key that is the same whenever the part is sent. */
export function ocsfCollector(facts: SinkFacts): Send {
  refuseBad(facts.url)
  return async (part) => {
    const events = await Promise.all(part.lines.slice(1, -1).map((line) => eventOf(facts, line)))
    const headers = { 'idempotency-key': part.name }
    const body = JSON.stringify(events)
    await tried(facts, () => ask(facts, { method: 'POST', url: facts.url, body, headers, own: true }))
  }
}

async function eventOf({ sha256 }: SinkFacts, line: string): Promise<Record<string, unknown>> {
  const value = JSON.parse(line) as Record<string, unknown>
  const redacted = RedactedLine.safeParse(value).data
  return redacted ? ocsfEvent(redacted.record, redacted.sha256) : ocsfEvent(value, await sha256(line))
}

function refuseBad(url: string, askedAt?: string): void {
  const fault = sinkFault(url, askedAt)
  if (fault !== null)
    throw new GatehouseError(`Nothing is sent there: ${fault}.`, { status: 400, code: 'SINK_ADDRESS' })
}

async function tried(facts: SinkFacts, work: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work()
      return
    } catch (error) {
      facts.signal?.throwIfAborted()
      if (attempt === auditDeliveryTries || !isPassing(error)) throw error
      await pause((facts.waitMs ?? auditDeliveryWaitMs) * attempt, facts.signal)
    }
  }
}

// Presigned places expire (403); everything else of this list says of itself that it may pass.
const passing: ReadonlySet<number> = new Set([0, 403, 408, 425, 429])

function isPassing(error: unknown): boolean {
  return (
    error instanceof GatehouseError &&
    error.code === 'SINK_FAILED' &&
    (passing.has(error.status) || error.status >= 500)
  )
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason as Error)
    })
  })
}

type Asking = {
  readonly method: 'POST' | 'PUT'
  readonly url: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
  /** Our own party, which gets the token. */
  readonly own?: true
  /** A status that is as good as success. */
  readonly fine?: number
}

async function ask(facts: SinkFacts, { method, url, body, own, fine, ...more }: Asking) {
  const token = own && facts.token !== undefined ? { authorization: `Bearer ${facts.token}` } : {}
  const headers = { 'content-type': 'application/json', ...more.headers, ...token }
  const bounds = [AbortSignal.timeout(auditSinkMs), ...(facts.signal ? [facts.signal] : [])]
  const { origin } = new URL(url) // what follows may be a secret: a presigned place is signed in its query
  let answer: { readonly status: number; readonly ok: boolean; readonly text: string }
  try {
    const reply = await facts.fetch(url, { method, body, headers, redirect: 'manual', signal: AbortSignal.any(bounds) })
    answer = { status: reply.status, ok: reply.ok, text: await shortText(reply) }
  } catch (cause) {
    throw new GatehouseError(`${origin} did not answer.`, { status: 0, code: 'SINK_FAILED', cause })
  }
  if (answer.ok || answer.status === fine) return answer
  const { status } = answer
  throw new GatehouseError(`${origin} answered ${status || 'with a redirect'}.`, { status, code: 'SINK_FAILED' })
}

async function shortText(reply: Response): Promise<string> {
  const reader = reply.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (;;) {
    const chunk = await reader?.read()
    if (chunk === undefined || chunk.done) return text
    text += decoder.decode(chunk.value, { stream: true })
    if (text.length <= auditSinkAnswerCharsMax) continue
    await reader?.cancel()
    return ''
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
