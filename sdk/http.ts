// One request at a time: bearer token on, bounded in time and size, refusals as GatehouseError, replies through their
// schema.
import type { z } from 'zod'
import { clientReplyBytesMax, clientRequestMs } from '../domain/limits.ts'
import { brokenReply, GatehouseError, refusalOf } from './errors.ts'

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export type Order = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Path with its query, already encoded. */
  readonly path: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

export type Transport = {
  /** Sends and returns the reply as it begins; refusals are thrown. No bound on the body's time. */
  readonly open: (order: Order) => Promise<Response>
  /** Sends, reads the whole reply and parses it. */
  readonly call: <S extends z.ZodType>(order: Order, schema: S) => Promise<z.output<S>>
}

export type TransportFacts = {
  readonly baseUrl: string
  readonly fetch: Fetch
  readonly token: () => string | undefined
}

/** Builds the transport of a client. */
export function createTransport(facts: TransportFacts): Transport {
  return {
    async open(order) {
      // The bound ends with the headers: a chat stream may last for minutes.
      const slow = new AbortController()
      const timer = setTimeout(() => slow.abort(timeout()), clientRequestMs)
      try {
        const reply = await send(facts, order, joined(order.signal, slow.signal))
        if (!reply.ok) throw refusalOf(reply, await readText(reply))
        return reply
      } finally {
        clearTimeout(timer)
      }
    },
    async call(order, schema) {
      const signal = joined(order.signal, AbortSignal.timeout(clientRequestMs))
      const reply = await send(facts, order, signal)
      const text = await readText(reply).catch((error: unknown) => {
        throw unreachable(facts.baseUrl, error, signal)
      })
      if (!reply.ok) throw refusalOf(reply, text)
      const parsed = schema.safeParse(jsonOf(reply.status, text))
      if (parsed.success) return parsed.data
      throw brokenReply(reply.status, `${order.method} ${order.path} was answered outside its contract.`, parsed.error)
    },
  }
}

async function send(facts: TransportFacts, order: Order, signal: AbortSignal): Promise<Response> {
  const token = facts.token()
  const body = order.body === undefined ? undefined : JSON.stringify(order.body)
  try {
    return await facts.fetch(`${facts.baseUrl}${order.path}`, {
      method: order.method,
      redirect: 'error', // a redirect would carry the body, and for one origin the token, to another address
      headers: {
        accept: 'application/json, text/event-stream',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...order.headers,
      },
      ...(body === undefined ? {} : { body }),
      signal,
    })
  } catch (error) {
    throw unreachable(facts.baseUrl, error, signal)
  }
}

const timeout = () => new DOMException('The server did not answer in time.', 'TimeoutError')

// The caller's own abort passes as it is; everything else means that no reply came.
function unreachable(baseUrl: string, error: unknown, signal: AbortSignal): unknown {
  if (error instanceof GatehouseError) return error
  const reason: unknown = signal.aborted ? signal.reason : undefined
  const late = reason instanceof DOMException && reason.name === 'TimeoutError'
  if (signal.aborted && !late) return reason
  const sentence = late ? `${baseUrl} did not answer in time.` : `${baseUrl} cannot be reached.`
  return new GatehouseError(sentence, { status: 0, code: late ? 'TIMEOUT' : 'UNREACHABLE', cause: error })
}

function joined(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined))
}

async function readText(reply: Response): Promise<string> {
  const reader = reply.body?.getReader()
  if (reader === undefined) return ''
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    bytes += value.byteLength
    if (bytes > clientReplyBytesMax) {
      await reader.cancel()
      throw brokenReply(reply.status, 'The server answered too much.')
    }
    text += decoder.decode(value, { stream: true })
  }
}

function jsonOf(status: number, text: string): unknown {
  if (text === '') return {}
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw brokenReply(status, 'The server did not answer with JSON.', cause)
  }
}

/** `?name=value&…` of what is given; nothing of nothing. */
export function queryOf(given: Readonly<Record<string, unknown>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, String(value))
  return query.size === 0 ? '' : `?${query.toString()}`
}
