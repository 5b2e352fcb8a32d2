// A turn as an iterable of events. The order is sent under a key of its own, so that sending it again never pays twice;
// a cut stream is taken up where it ended, through the viewer's route.
import { clientRetryAfterSecondsMax, clientStreamIdleMs } from '../domain/limits.ts'
import { GatehouseError } from './errors.ts'
import { eventOf, isLast, type ChatEvent } from './events.ts'
import type { Order, Transport } from './http.ts'
import { readFrames, StreamCut } from './sse.ts'

export type SessionRef = { readonly id: string; readonly agentId: string }

export type Image = { readonly data: string; readonly mediaType: 'image/jpeg' | 'image/png' | 'image/webp' }

export type ChatOptions = {
  /** Stops reading. The turn itself goes on; `cancel` ends it. */
  readonly signal?: AbortSignal
  /** Made up when absent. Give one to send the same order again from another process. */
  readonly idempotencyKey?: string
  readonly model?: string
  readonly images?: readonly Image[]
  /** Runtime scope that pays for the turn and confines its tools. */
  readonly scopeId?: string | undefined
}

export type WatchOptions = {
  readonly signal?: AbortSignal
  /** Id of the last event seen; absent means from the beginning. */
  readonly after?: string
}

/** Events of one turn, to be read once. `turnId` is known from the first event on. */
export type ChatStream = AsyncIterable<ChatEvent> & { readonly turnId: string | undefined }

export type ChatDeps = {
  readonly transport: Transport
  readonly waitsMs: readonly number[]
  readonly idleMs?: number | undefined
}

type Reading = { turnId: string | undefined; lastId: string | undefined; ended: boolean }

/** Sends a message and reads its turn. Nothing is sent before the first event is asked for. */
export function startChat(
  deps: ChatDeps,
  resolve: () => Promise<SessionRef>,
  { message, options }: { message: string; options: ChatOptions },
): ChatStream {
  const reading: Reading = { turnId: undefined, lastId: undefined, ended: false }
  const key = options.idempotencyKey ?? crypto.randomUUID()
  const { model, images, signal, scopeId } = options
  async function* events(): AsyncGenerator<ChatEvent> {
    const session = await resolve()
    const order: Order = {
      method: 'POST',
      path: `${sessionPath(session)}/chat`,
      headers: { 'idempotency-key': key, ...(scopeId === undefined ? {} : { 'x-runtime-scope-id': scopeId }) },
      body: { message, ...(model === undefined ? {} : { model }), ...(images === undefined ? {} : { images }) },
      signal,
    }
    const reply = await persistently(deps.waitsMs, signal, () => deps.transport.open(order))
    reading.turnId = reply.headers.get('x-turn-id') ?? undefined
    yield* readOn(deps, { session, reading, reply, signal })
  }
  return streamOf(events(), reading)
}

/** Reads a turn that somebody started: what was said so far, then live. */
export function watchTurn(
  deps: ChatDeps,
  resolve: () => Promise<SessionRef>,
  { turnId, options }: { turnId: string; options: WatchOptions },
): ChatStream {
  const reading: Reading = { turnId, lastId: options.after, ended: false }
  async function* events(): AsyncGenerator<ChatEvent> {
    const { signal } = options
    const session = await resolve()
    const reply = await persistently(deps.waitsMs, signal, () => view(deps, { session, reading, signal }))
    yield* readOn(deps, { session, reading, reply, signal })
  }
  return streamOf(events(), reading)
}

export function sessionPath({ id, agentId }: SessionRef): string {
  return `/agents/${encodeURIComponent(agentId)}/sessions/${encodeURIComponent(id)}`
}

function streamOf(events: AsyncGenerator<ChatEvent>, reading: Reading): ChatStream {
  return {
    [Symbol.asyncIterator]: () => events,
    get turnId() {
      return reading.turnId
    },
  }
}

type View = { readonly session: SessionRef; readonly reading: Reading; readonly signal: AbortSignal | undefined }

// Reads replies one after another until the last event. Every event read gives the full number of tries back.
async function* readOn(deps: ChatDeps, start: View & { reply: Response }): AsyncGenerator<ChatEvent> {
  const { reading, signal } = start
  let reply = start.reply
  let tries = 0
  for (;;) {
    let cut: unknown
    try {
      for await (const event of readReply(reply, reading, deps.idleMs ?? clientStreamIdleMs)) {
        tries = 0
        yield event
      }
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof StreamCut)) throw error
      cut = error
    }
    if (reading.ended) return
    signal?.throwIfAborted()
    const waitMs = deps.waitsMs[tries]
    if (reading.turnId === undefined || waitMs === undefined) throw lost(reading, cut)
    tries += 1
    await wait(waitMs, signal)
    reply = await persistently(deps.waitsMs, signal, () => view(deps, start))
  }
}

async function* readReply(reply: Response, reading: Reading, idleMs: number): AsyncGenerator<ChatEvent> {
  if (reply.body === null) throw new StreamCut('The stream is empty.')
  for await (const frame of readFrames(reply.body, idleMs)) {
    if (isSeen(frame.id, reading.lastId)) continue
    reading.lastId = frame.id ?? reading.lastId
    const event = eventOf(frame)
    if (event === undefined) continue
    if (event.type === 'status' && typeof event.data['turnId'] === 'string') reading.turnId ??= event.data['turnId']
    reading.ended = isLast(event)
    yield event
    if (reading.ended) return
  }
}

// Ids are sequence numbers; a viewer that begins too early repeats some.
function isSeen(id: string | undefined, lastId: string | undefined): boolean {
  return id !== undefined && lastId !== undefined && Number(id) <= Number(lastId)
}

function view(deps: ChatDeps, { session, reading, signal }: View): Promise<Response> {
  return deps.transport.open({
    method: 'GET',
    path: `${sessionPath(session)}/turns/${encodeURIComponent(reading.turnId ?? '')}/stream`,
    headers: reading.lastId === undefined ? {} : { 'last-event-id': reading.lastId },
    signal,
  })
}

function lost(reading: Reading, cause: unknown): GatehouseError {
  return new GatehouseError('The stream was cut and could not be taken up again; the turn goes on without a reader.', {
    status: 0,
    code: 'STREAM_CUT',
    details: { turnId: reading.turnId ?? null, lastEventId: reading.lastId ?? null },
    cause,
  })
}

async function persistently<T>(
  waitsMs: readonly number[],
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      const waitMs = waitsMs[tries]
      if (waitMs === undefined || !(error instanceof GatehouseError) || !mayPass(error)) throw error
      await wait(Math.max(waitMs, (error.retryAfterSeconds ?? 0) * 1000), signal)
    }
  }
}

// No reply, or a server that is not ready: the same order under the same key is safe to send again.
function mayPass({ status, code, retryAfterSeconds = 0 }: GatehouseError): boolean {
  if (retryAfterSeconds > clientRetryAfterSecondsMax) return false
  return code === 'UNREACHABLE' || code === 'TIMEOUT' || status === 502 || status === 503 || status === 504
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal?.aborted === true) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}
