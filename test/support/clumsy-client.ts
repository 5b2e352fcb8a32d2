// A client that knows no key and a proxy that breaks: what the client sent arrives, what it is told is something else. It
// sends the same again, as clients do.
import { createServer, request as openRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readEvents, type ChatEvent, type Person } from './person.ts'

/** What the proxy makes of one request that it has passed on. */
export type Fault =
  /** Nothing: the reply passes. */
  | 'none'
  /** This status, as soon as the API answers. */
  | 500
  | 429
  | 401
  /** The connection is cut after the headers, before the first text. */
  | 'cut-early'
  /** The request does not arrive: 500 at once. */
  | 'lost'

export type FaultyProxy = AsyncDisposable & {
  readonly url: string
  /** For the next requests, in order; then `none`. */
  readonly faults: Fault[]
}

/** Passes requests on to these APIs, each to the next one. */
export async function startFaultyProxy(targets: readonly string[]): Promise<FaultyProxy> {
  const faults: Fault[] = []
  let count = 0
  const server = createServer((request, response) => {
    const target = targets[count % targets.length] ?? ''
    count += 1
    pass({ request, response, target, fault: faults.shift() ?? 'none' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Passing = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly target: string
  readonly fault: Fault
}

function pass({ request, response, target, fault }: Passing): void {
  if (fault === 'lost') {
    request.resume().on('end', () => response.writeHead(500).end())
    return
  }
  const headers = { ...request.headers, host: new URL(target).host }
  const upstream = openRequest(`${target}${request.url}`, { method: request.method, headers }, (reply) => {
    if (typeof fault === 'number') {
      response.writeHead(fault).end()
      upstream.destroy()
      return
    }
    response.writeHead(reply.statusCode ?? 502, reply.headers)
    if (fault === 'cut-early') {
      response.flushHeaders()
      setImmediate(() => {
        response.destroy()
        upstream.destroy()
      })
      return
    }
    reply.pipe(response)
  })
  upstream.on('error', () => response.destroy())
  response.on('close', () => upstream.destroy())
  request.pipe(upstream)
}

export type Sent = {
  /** Statuses of all tries; 0 for one that was cut. */
  readonly statuses: readonly number[]
  readonly turnId: string | null
  readonly dedupe: string | null
  readonly events: readonly ChatEvent[]
}

const waitsMs = [0, 100, 500, 2_000] as const

/** Sends one message up to four times: again after 401, 429, 5xx, and after a cut before the first text. */
export async function sendClumsily(
  { token }: Pick<Person, 'token'>,
  { base, sessionId, message }: { readonly base: string; readonly sessionId: string; readonly message: string },
): Promise<Sent> {
  const statuses: number[] = []
  for (const waitMs of waitsMs) {
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    const events: ChatEvent[] = []
    try {
      const reply = await fetch(`${base}/agents/assistant/sessions/${sessionId}/chat`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ message }),
      })
      if (reply.status !== 200) {
        statuses.push(reply.status)
        await reply.body?.cancel()
        continue
      }
      for await (const event of readEvents(reply)) events.push(event)
      statuses.push(reply.status)
      return { statuses, turnId: reply.headers.get('x-turn-id'), dedupe: reply.headers.get('x-dedupe'), events }
    } catch {
      statuses.push(0)
      if (events.some(({ type }) => type === 'text')) return { statuses, turnId: null, dedupe: null, events }
    }
  }
  return { statuses, turnId: null, dedupe: null, events: [] }
}
