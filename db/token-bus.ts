// The token bus on Postgres. Appends and reads of many streams share a statement per event-loop turn; other processes
// are told by notifications on a connection of their own, outside every transaction that writes data, and poll besides,
// because a notification may be lost and a row may not.
import { toError } from '../domain/errors.ts'
import { streamNotificationsPerSecondMax, streamPollMs, streamRetentionMs } from '../domain/limits.ts'
import { createBatcher } from './batcher.ts'
import type { Pool } from './pool.ts'
import { createStreamFeed, type StreamListener } from './stream-feed.ts'
import {
  appendChunks,
  closeStream,
  dropClosedStreams,
  readChunks,
  streamHeads,
  type NewChunk,
  type ReadOrder,
  type StoredChunk,
} from './stream.ts'

export type BusEvent = {
  readonly streamId: string
  readonly kind: string
  readonly body: unknown
  readonly fence?: bigint
}

export type TokenBusDeps = {
  readonly pool: Pool
  /** A fresh, unconnected session connection; called again after each loss. */
  readonly listener: () => StreamListener
  /** Told of what the bus survives: a lost line, a failed round of polling or sweeping. */
  readonly onFault: (error: Error) => void
}

export type PostgresTokenBus = AsyncDisposable & {
  readonly append: (event: BusEvent) => Promise<boolean>
  readonly read: (streamId: string, afterSeq: bigint, limit: number) => Promise<readonly StoredChunk[]>
  readonly subscribe: (streamId: string, wake: () => void) => () => void
  readonly close: (streamId: string, fence?: bigint) => Promise<void>
}

const pendingAppendsMax = 20_000
const batchEventsMax = 500
const batchReadsMax = 200
const sweepEveryMs = 60_000

/** Opens the bus of this process; nothing is connected before the first use. Dispose it to flush and disconnect. */
export function createTokenBus({ pool, listener, onFault }: TokenBusDeps): PostgresTokenBus {
  const { subscribers, advanced, wake, wakeAll, subscribe } = createSubscriptions()
  const feed = createStreamFeed({
    listener,
    onFault,
    spacingMs: 1000 / streamNotificationsPerSecondMax,
    onAdvance: advanced,
    onReconnect: wakeAll,
  })
  const appends = createBatcher<NewChunk, boolean>({
    pendingMax: pendingAppendsMax,
    batchMax: batchEventsMax,
    groupOf: ({ streamId }) => streamId,
    // One statement answers per stream, so that a batch holds one fence per stream: all of it is taken, or nothing.
    compatible: (first, next) => first.fence === next.fence,
    run: async (chunks) => {
      const moved = await appendChunks(pool, chunks)
      for (const [streamId, seq] of moved) {
        advanced(streamId, seq)
        feed.announce(streamId, seq)
      }
      return chunks.map(({ streamId }) => moved.has(streamId))
    },
  })
  const reads = createBatcher<ReadOrder, readonly StoredChunk[]>({
    pendingMax: pendingAppendsMax,
    batchMax: batchReadsMax,
    run: (orders) => readChunks(pool, orders),
  })
  const poll = every(streamPollMs, onFault, async () => {
    if (subscribers.size === 0) return
    for (const [streamId, seq] of await streamHeads(pool, [...subscribers.keys()])) advanced(streamId, seq)
  })
  const sweep = every(sweepEveryMs, onFault, () => dropClosedStreams(pool, streamRetentionMs))

  return {
    append: ({ streamId, kind, body, fence }) => appends.add({ streamId, kind, body, fence: fence ?? null }),
    read: (streamId, afterSeq, limit) => reads.add({ streamId, afterSeq, limit }),
    subscribe(streamId, onWake) {
      feed.listen()
      return subscribe(streamId, onWake)
    },
    async close(streamId, fence) {
      await appends.idle()
      await closeStream(pool, streamId, fence ?? null)
      wake(streamId)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([poll.stop(), sweep.stop()])
      await appends.idle()
      await reads.idle()
      await feed.close()
    },
  }
}

// Who waits for which stream, and how far each of these streams is known to have come.
function createSubscriptions() {
  const subscribers = new Map<string, Set<() => void>>()
  const heads = new Map<string, bigint>()
  const wake = (streamId: string) => subscribers.get(streamId)?.forEach((each) => each())
  return {
    subscribers,
    wake,
    wakeAll: () => [...subscribers.keys()].forEach(wake),
    advanced(streamId: string, seq: bigint) {
      if (!subscribers.has(streamId) || seq <= (heads.get(streamId) ?? -1n)) return
      heads.set(streamId, seq)
      wake(streamId)
    },
    subscribe(streamId: string, onWake: () => void): () => void {
      const own = () => onWake()
      const known = subscribers.get(streamId) ?? new Set()
      subscribers.set(streamId, known.add(own))
      return () => {
        known.delete(own)
        if (known.size > 0 || subscribers.get(streamId) !== known) return
        subscribers.delete(streamId)
        heads.delete(streamId)
      }
    },
  }
}

// Runs work again and again, never twice at once; a failure is told and the next round tries again.
function every(
  ms: number,
  onFault: (error: Error) => void,
  work: () => Promise<unknown>,
): { readonly stop: () => Promise<void> } {
  let running: Promise<unknown> | undefined
  const timer = setInterval(() => {
    running ??= work()
      .catch((error: unknown) => onFault(toError(error)))
      .finally(() => (running = undefined))
  }, ms)
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await running
    },
  }
}
