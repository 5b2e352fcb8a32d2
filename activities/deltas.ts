// Sends the words of a model to the token bus: the first at once, then in small batches, in order. An attempt that was
// replaced finds its fence refused and stops.
import { streamFlushBytes, streamFlushMs } from '../domain/limits.ts'
import type { TokenBus } from '../gateway/ports.ts'

export type DeltaWriter = {
  /** Takes a piece; resolves at once, or waits while the bus is behind. Throws when a newer attempt has taken over. */
  readonly write: (kind: 'delta' | 'thinking', text: string) => Promise<void>
  /** Sends what is left, and waits until everything is stored. */
  readonly flush: () => Promise<void>
}

export function createDeltaWriter(
  bus: TokenBus,
  stream: { readonly streamId: string; readonly fence: bigint },
): DeltaWriter {
  let kind: 'delta' | 'thinking' = 'delta'
  let text = ''
  let sentAt = Number.NEGATIVE_INFINITY
  let sending: Promise<void> = Promise.resolve()
  const send = () => {
    if (text === '') return sending
    const body = text
    const of = kind
    text = ''
    sentAt = performance.now()
    sending = sending.then(async () => {
      if (!(await bus.append({ ...stream, kind: of, body }))) throw new Error('A newer attempt writes this stream.')
    })
    sending.catch(() => undefined) // met again at the next write or flush
    return sending
  }
  return {
    async write(next, piece) {
      if (next !== kind) await send()
      kind = next
      text += piece
      if (text.length >= streamFlushBytes || performance.now() - sentAt >= streamFlushMs) await send()
    },
    flush: () => send(),
  }
}
