// The fast path of a feed: a connection of its own that listens to a channel. A lost one is replaced, and what may have
// been missed meanwhile is reported as a gap.
import { revocationChannel, type RevokedScope } from '../db/revocation.ts'
import { toError } from '../domain/errors.ts'
import { revocationRelistenMs } from '../domain/limits.ts'
import type { Logger } from '../telemetry/log.ts'

/** What is used of a driver's client. */
export type ListenerConnection = {
  readonly connect: () => Promise<unknown>
  readonly query: (text: string) => Promise<unknown>
  readonly end: () => Promise<void>
  readonly on: {
    (event: 'notification', hear: (notice: { readonly payload?: string | undefined }) => void): unknown
    (event: 'error', hear: (error: Error) => void): unknown
    (event: 'end', hear: () => void): unknown
  }
}

export type ListeningDeps = {
  readonly listener: () => ListenerConnection
  readonly apply: (revoked: RevokedScope) => void
  /** Notices may have been lost. */
  readonly missed: () => void
  readonly log: Pick<Logger, 'warn'>
}

export function listenToRevocations({ apply, ...deps }: ListeningDeps): Listening {
  const hear = (payload: string | undefined) => {
    const revoked = readNotice(payload)
    if (revoked) apply(revoked)
  }
  return listenTo({ ...deps, channel: revocationChannel, hear })
}

export type ChannelDeps = Omit<ListeningDeps, 'apply'> & {
  readonly channel: string
  readonly hear: (payload: string | undefined) => void
}

export type Listening = { readonly stop: () => Promise<void> }

/** Listens until it is stopped. */
export function listenTo(deps: ChannelDeps): Listening {
  const stopping = new AbortController()
  const following = follow(deps, stopping.signal)
  return {
    async stop() {
      stopping.abort()
      await following
    },
  }
}

async function follow(deps: ChannelDeps, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await listenOnce(deps, stop).catch((error: unknown) => {
      deps.log.warn({ err: toError(error), channel: deps.channel }, 'a listener lost its connection')
    })
    deps.missed()
    await pause(revocationRelistenMs, stop)
  }
}

/** Resolves when it was stopped, rejects when the connection was lost. */
async function listenOnce({ listener, channel, hear, missed }: ChannelDeps, stop: AbortSignal): Promise<void> {
  const connection = listener()
  const lost = new Promise<never>((_resolve, reject) => {
    connection.on('error', reject)
    connection.on('end', () => reject(new Error('The connection ended.')))
  })
  const stopped = abortOf(stop)
  lost.catch(() => undefined) // also when it is lost after the race
  connection.on('notification', ({ payload }) => hear(payload))
  const listen = async () => {
    await connection.connect()
    await connection.query(`LISTEN ${channel}`)
    missed() // what was committed before LISTEN took hold is read by the next poll
    await stopped.promise
  }
  try {
    await Promise.race([listen(), lost, stopped.promise])
  } finally {
    stopped.release()
    await connection.end().catch(() => undefined)
  }
}

async function pause(ms: number, stop: AbortSignal): Promise<void> {
  const stopped = abortOf(stop)
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
  await Promise.race([over, stopped.promise])
  clearTimeout(timer)
  stopped.release()
}

// Each waiter takes its listener away again: the signal lives as long as the process.
function abortOf(signal: AbortSignal): { readonly promise: Promise<void>; readonly release: () => void } {
  let release = () => undefined as void
  const promise = new Promise<void>((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => resolve()
    signal.addEventListener('abort', done, { once: true })
    release = () => signal.removeEventListener('abort', done)
  })
  return { promise, release: () => release() }
}

function readNotice(payload: string | undefined): RevokedScope | undefined {
  try {
    const { scope, epoch } = JSON.parse(payload ?? '') as { scope?: unknown; epoch?: unknown }
    return typeof scope === 'string' && typeof epoch === 'number' ? { scope, epoch } : undefined
  } catch {
    return undefined // not ours; the poll is the truth anyway
  }
}
