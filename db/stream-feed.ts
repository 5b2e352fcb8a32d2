// The wire between processes that share streams: one session connection that listens and notifies, outside every
// transaction that writes data. Notifications are rare and name all streams that advanced since the last; a lost
// connection is made anew, and then everything is looked at once.
import { toError } from '../domain/errors.ts'

export type StreamListener = {
  readonly connect: () => Promise<unknown>
  readonly query: (text: string, values?: unknown[]) => Promise<unknown>
  readonly on: {
    (event: 'notification', listener: (message: { payload?: string | undefined }) => void): unknown
    (event: 'error' | 'end', listener: (error?: Error) => void): unknown
  }
  readonly end: () => Promise<void>
}

export type StreamFeedDeps = {
  readonly listener: () => StreamListener
  readonly onFault: (error: Error) => void
  /** Least time between two notifications of this process. */
  readonly spacingMs: number
  readonly onAdvance: (streamId: string, seq: bigint) => void
  readonly onReconnect: () => void
}

export type StreamFeed = {
  /** Tells others, soon, that a stream advanced. */
  readonly announce: (streamId: string, seq: bigint) => void
  /** Hears others from now on. */
  readonly listen: () => void
  readonly close: () => Promise<void>
}

const channel = 'stream'
const payloadBytesMax = 7_900 // Postgres takes less than 8,000
const announcedStreamsMax = 5_000 // beyond this others find out by polling
const reconnectMs = 200
const reconnectMsMax = 5_000

export function createStreamFeed(deps: StreamFeedDeps): StreamFeed {
  const link = createLink(deps)
  const advanced = new Map<string, bigint>()
  let timer: NodeJS.Timeout | undefined
  let lastAt = 0
  let sending: Promise<void> = Promise.resolve()
  let closed = false

  const schedule = () => {
    if (timer !== undefined || closed || advanced.size === 0) return
    timer = setTimeout(
      () => {
        timer = undefined
        sending = send().finally(schedule)
      },
      Math.max(0, lastAt + deps.spacingMs - performance.now()),
    )
  }
  const send = async () => {
    lastAt = performance.now()
    const payload = takePayload(advanced)
    if (payload === '') return
    await link.query('SELECT pg_notify($1, $2)', [channel, payload]).catch((error: unknown) => {
      deps.onFault(toError(error)) // a lost notification costs others one poll
    })
  }
  return {
    announce(streamId, seq) {
      if (closed || (advanced.size >= announcedStreamsMax && !advanced.has(streamId))) return
      advanced.set(streamId, seq)
      schedule()
    },
    listen: () => void link.listen(),
    async close() {
      closed = true
      clearTimeout(timer)
      await sending
      if (advanced.size > 0) await send()
      await link.close()
    },
  }
}

/** Takes as many `id:seq` words as a notification holds. */
export function takePayload(advanced: Map<string, bigint>): string {
  const words: string[] = []
  let bytes = 0
  for (const [streamId, seq] of advanced) {
    const word = `${streamId}:${seq}`
    bytes += Buffer.byteLength(word) + 1
    if (bytes > payloadBytesMax) break
    words.push(word)
    advanced.delete(streamId)
  }
  return words.join(' ')
}

// `id:seq` words; what is not one of ours is passed over.
function wordsOf(payload: string): (readonly [string, bigint])[] {
  return payload.split(' ').flatMap((word) => {
    const at = word.lastIndexOf(':')
    const seq = word.slice(at + 1)
    return at > 0 && /^\d{1,19}$/.test(seq) ? [[word.slice(0, at), BigInt(seq)] as const] : []
  })
}

// One connection, made at the first need and again after each loss while somebody listens.
function createLink({ listener, onFault, onAdvance, onReconnect }: StreamFeedDeps) {
  let client: Promise<StreamListener> | undefined
  let listening = false
  let closed = false
  let waitMs = reconnectMs
  let retry: NodeJS.Timeout | undefined

  const lost = (made: Promise<StreamListener>) => {
    if (client !== made) return
    client = undefined
    if (!listening || closed) return
    retry = setTimeout(() => void open().then(onReconnect, () => undefined), waitMs)
    waitMs = Math.min(waitMs * 2, reconnectMsMax)
  }
  const open = (): Promise<StreamListener> => {
    clearTimeout(retry)
    client ??= connect()
    return client
  }
  const connect = (): Promise<StreamListener> => {
    const fresh = listener()
    const made: Promise<StreamListener> = (async () => {
      fresh.on('notification', ({ payload = '' }) => {
        for (const [streamId, seq] of wordsOf(payload)) onAdvance(streamId, seq)
      })
      fresh.on('error', (error) => onFault(toError(error)))
      fresh.on('end', () => lost(made))
      await fresh.connect()
      if (listening) await fresh.query(`LISTEN ${channel}`)
      waitMs = reconnectMs
      return fresh
    })()
    made.catch(() => {
      lost(made)
      void fresh.end().catch(() => undefined)
    })
    return made
  }
  // One query at a time: a connection is no queue.
  let tail: Promise<unknown> = Promise.resolve()
  const query = (text: string, values?: unknown[]): Promise<unknown> => {
    const next = tail.then(async () => (await open()).query(text, values))
    tail = next.catch(() => undefined)
    return next
  }
  return {
    async listen() {
      if (listening || closed) return
      listening = true
      if (!client) return void open().catch(() => undefined)
      await query(`LISTEN ${channel}`).catch(() => undefined) // a lost line listens again when it is remade
    },
    query,
    async close() {
      closed = true
      clearTimeout(retry)
      const made = await client?.catch(() => undefined)
      await made?.end().catch(() => undefined)
    },
  }
}
