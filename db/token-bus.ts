// The token bus on Postgres. Events of many streams go out in one statement per turn of the event loop; readers are woken
// by a notification on a connection outside every data transaction, and poll besides, so that a lost notice costs a
// second and never an event.
import type pg from 'pg'
import { streamNotificationsPerSecondMax, streamPollMs } from '../domain/limits.ts'
import type { Pool } from './pool.ts'
import { appendChunks, closeStream, readChunks, streamHeads, type NewChunk, type StoredChunk } from './stream.ts'

export type TokenBusDeps = {
  readonly pool: Pool
  /** A connection of its own, for LISTEN and NOTIFY; called again after each loss. */
  readonly listener: () => pg.Client
  /** Told of lost connections and failed notices; the bus goes on by polling. */
  readonly onFault: (error: unknown) => void
}

type Waiting = NewChunk & { readonly resolve: (taken: boolean) => void; readonly reject: (error: unknown) => void }
type Subscriber = { readonly streamId: string; readonly wake: () => void }

const channel = 'streams'
const notifyMs = 1_000 / streamNotificationsPerSecondMax
const payloadBytesMax = 7_900 // Postgres takes 8,000
const batchMax = 500
const reconnectMs = 500

/** Fits the `TokenBus` port. */
export function createTokenBus(deps: TokenBusDeps) {
  const subscribers = new Map<string, Set<Subscriber>>()
  const advanced = new Set<string>()
  const wakeAll = (streamId: string) => subscribers.get(streamId)?.forEach((subscriber) => subscriber.wake())
  const line = createLine(deps, {
    onNotice: (ids) => ids.forEach(wakeAll),
    onReconnect: () => [...subscribers.keys()].forEach(wakeAll),
  })
  const announce = (streamIds: Iterable<string>) => {
    for (const id of streamIds) {
      advanced.add(id)
      wakeAll(id) // readers of this process need no round trip
    }
  }
  const appender = createAppender(deps.pool, announce)
  const notifier = setInterval(() => flushNotices(advanced, line.notify), notifyMs)
  const poller = createPoller(deps, subscribers, wakeAll)
  notifier.unref()
  return {
    append: (event: { streamId: string; kind: string; body: unknown; fence?: bigint }): Promise<boolean> =>
      appender({ streamId: event.streamId, kind: event.kind, body: event.body, fence: event.fence ?? null }),
    read: async (streamId: string, afterSeq: bigint, limit: number): Promise<readonly StoredChunk[]> =>
      (await readChunks(deps.pool, [{ streamId, afterSeq, limit }]))[0] ?? [],
    subscribe(streamId: string, wake: () => void): () => void {
      const subscriber = { streamId, wake }
      const all = subscribers.get(streamId) ?? new Set()
      subscribers.set(streamId, all.add(subscriber))
      return () => {
        all.delete(subscriber)
        if (all.size === 0) subscribers.delete(streamId)
      }
    },
    close: (streamId: string): Promise<void> => closeStream(deps.pool, streamId),
    async [Symbol.asyncDispose](): Promise<void> {
      clearInterval(notifier)
      poller.stop()
      flushNotices(advanced, line.notify)
      await line.stop()
    },
  }
}

// Collects what is appended within one turn of the event loop and while a statement is under way; order is kept.
function createAppender(
  pool: Pool,
  announce: (streamIds: Iterable<string>) => void,
): (chunk: NewChunk) => Promise<boolean> {
  const waiting: Waiting[] = []
  let busy = false
  const drain = async () => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, batchMax)
      try {
        const taken = await appendChunks(pool, batch)
        announce(taken.keys())
        batch.forEach((each) => each.resolve(taken.has(each.streamId)))
      } catch (error) {
        batch.forEach((each) => each.reject(error))
      }
    }
    busy = false
  }
  return (chunk) =>
    new Promise((resolve, reject) => {
      waiting.push({ ...chunk, resolve, reject })
      if (busy) return
      busy = true
      setImmediate(() => void drain())
    })
}

// At most so many notices a second, each naming as many streams as fit.
function flushNotices(advanced: Set<string>, notify: (payload: string) => void): void {
  let payload = ''
  for (const id of advanced) {
    const next = payload === '' ? id : `${payload}\n${id}`
    if (Buffer.byteLength(next) > payloadBytesMax) break
    payload = next
    advanced.delete(id)
  }
  if (payload !== '') notify(payload)
}

type LineEvents = { readonly onNotice: (ids: string[]) => void; readonly onReconnect: () => void }

function createLine({ listener, onFault }: TokenBusDeps, { onNotice, onReconnect }: LineEvents) {
  let client: pg.Client | undefined
  let ready = false
  let ended = false
  let timer: NodeJS.Timeout | undefined
  const connect = async () => {
    const next = listener()
    client = next
    next.on('notification', ({ payload }) => onNotice((payload ?? '').split('\n')))
    next.on('error', onFault)
    next.on('end', () => {
      ready = false
      if (!ended) timer = setTimeout(() => void connect(), reconnectMs)
    })
    try {
      await next.connect()
      await next.query(`LISTEN ${channel}`)
      ready = true
      onReconnect()
    } catch (error) {
      onFault(error)
      await next.end().catch(() => undefined)
    }
  }
  const first = connect()
  return {
    notify: (payload: string): void => {
      if (ready) void client?.query('SELECT pg_notify($1, $2)', [channel, payload]).catch(onFault)
    },
    async stop() {
      ended = true
      clearTimeout(timer)
      await first
      await client?.end().catch(() => undefined)
    },
  }
}

// Each second the heads of all watched streams are compared, in one statement.
function createPoller(
  { pool, onFault }: TokenBusDeps,
  subscribers: ReadonlyMap<string, unknown>,
  wake: (streamId: string) => void,
) {
  const known = new Map<string, bigint>()
  const look = async () => {
    const ids = [...subscribers.keys()]
    for (const id of known.keys()) if (!subscribers.has(id)) known.delete(id)
    if (ids.length === 0) return
    for (const [id, seq] of await streamHeads(pool, ids)) {
      if (known.get(id) !== seq) wake(id)
      known.set(id, seq)
    }
  }
  const timer = setInterval(() => void look().catch(onFault), streamPollMs)
  timer.unref()
  return { stop: () => clearInterval(timer) }
}
