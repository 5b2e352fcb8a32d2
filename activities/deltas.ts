// Sends the words of a model to the token bus: the first at once, then in small batches, in order. An attempt that was
// replaced finds its fence refused and stops.
import { streamFlushBytes, streamFlushMs } from '../domain/limits.ts'
import type { TokenBus } from '../gateway/ports.ts'

export type DeltaWriter = {
  /** Takes a piece; resolves at once, or waits while the bus is behind. Throws when a newer attempt has taken over. */
  readonly write: (kind: 'delta' | 'thinking', text: string) => Promise<void>
  /** Sends what is left, and waits until everything is stored. */
  readonly flush: () => Promise<void>
  /** Drops what is left. */
  readonly stop: () => void
}

type Stream = { readonly streamId: string; readonly fence: bigint }

export function createDeltaWriter(bus: TokenBus, stream: Stream): DeltaWriter {
  let kind: 'delta' | 'thinking' = 'delta'
  let text = ''
  let sentAt = Number.NEGATIVE_INFINITY
  let sending: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  const rest = () => {
    clearTimeout(timer)
    timer = undefined
  }
  const send = () => {
    rest()
    if (text === '') return sending
    const event = { ...stream, kind, body: text }
    text = ''
    sentAt = performance.now()
    sending = sending.then(async () => {
      if (!(await bus.append(event))) throw new Error('A newer attempt writes this stream.')
    })
    sending.catch(() => undefined) // met again at the next write or flush
    return sending
  }
  return {
    async write(next, piece) {
      if (next !== kind) await send()
      kind = next
      text += piece
      const waitedMs = performance.now() - sentAt
      if (text.length >= streamFlushBytes || waitedMs >= streamFlushMs) await send()
      else timer ??= setTimeout(() => void send(), streamFlushMs - waitedMs) // a model that pauses hides no words
    },
    flush: send,
    stop() {
      rest()
      text = ''
    },
  }
}
