// Server-sent events of one turn: from any point on, live, until the last event. LF framing, one `data:` line an event,
// a comment as keep-alive. A reader that does not keep up is dropped; it resumes by the last id it saw.
import type { Response } from 'express'
import { streamClientBufferBytesMax, streamKeepAliveMs, streamReadChunksMax } from '../domain/limits.ts'
import type { StreamChunk, TokenBus } from '../gateway/ports.ts'
import type { Events } from '../telemetry/events.ts'

export type ViewOrder = {
  readonly bus: TokenBus
  readonly streamId: string
  readonly afterSeq: bigint
  readonly response: Response
  readonly headers: Readonly<Record<string, string>>
  /** Said before anything of the stream; has no id. */
  readonly greeting?: WireEvent
  readonly events: Events
  /** What the turn ended with when its stream is gone already. */
  readonly ending: () => Promise<WireEvent | null>
  /** Called when the socket has taken the `done` event. */
  readonly onDelivered?: () => Promise<void>
}

export type WireEvent = { readonly type: string; readonly data: unknown }

const wireTypes: Readonly<Record<string, string>> = {
  delta: 'text',
  thinking: 'thinking',
  tool_call: 'tool_call',
  tool_result: 'tool_result',
  status: 'status',
  attempt_started: 'status',
  turn_completed: 'done',
  turn_failed: 'error',
}

const isLast = (type: string) => type === 'done' || type === 'error'

/** Sends the events of a stream until its last one, or until the client leaves. */
export async function viewStream(order: ViewOrder): Promise<void> {
  const { response, bus, streamId } = order
  response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no', ...order.headers })
  let wake = () => undefined as void
  let woken = false
  const unsubscribe = bus.subscribe(streamId, () => {
    woken = true
    wake()
  })
  const keepAlive = setInterval(() => response.write(': keep-alive\n\n'), streamKeepAliveMs)
  const left = new Promise<void>((resolve) => response.once('close', resolve))
  try {
    if (order.greeting) send(response, order.greeting)
    let afterSeq = order.afterSeq
    while (!response.destroyed) {
      woken = false
      const chunks = await bus.read(streamId, afterSeq, streamReadChunksMax)
      const last = await sendChunks(order, chunks)
      if (last) return
      afterSeq = chunks.at(-1)?.seq ?? afterSeq
      if (chunks.length > 0) continue
      const ended = await order.ending()
      // Ended, and nothing more to read: the stream was retired, or its last event is the outcome itself.
      if (ended && (await bus.read(streamId, afterSeq, 1)).length === 0) return await finish(order, ended, null)
      if (!woken) await Promise.race([new Promise<void>((resolve) => (wake = resolve)), left, pause(streamKeepAliveMs)])
    }
  } finally {
    clearInterval(keepAlive)
    unsubscribe()
    response.end()
  }
}

const pause = (ms: number) =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, ms).unref()
  })

async function sendChunks(order: ViewOrder, chunks: readonly StreamChunk[]): Promise<boolean> {
  for (const { seq, kind, body } of chunks) {
    const type = wireTypes[kind] ?? 'status'
    const data = kind === 'attempt_started' ? { ...(body as object), discardFromSeq: Number(seq) } : body
    if (isLast(type)) {
      await finish(order, { type, data }, seq)
      return true
    }
    send(order.response, { type, data }, seq)
    if (order.response.writableLength > streamClientBufferBytesMax) {
      order.events.streamDropped({ reason: 'slow-reader' })
      order.response.destroy()
      return true
    }
  }
  return false
}

// The callback of the write says that the operating system took the bytes from an open socket.
async function finish({ response, onDelivered }: ViewOrder, event: WireEvent, seq: bigint | null): Promise<void> {
  const taken = await new Promise<boolean>((resolve) => {
    if (response.destroyed) resolve(false)
    else response.write(frame(event, seq), (error) => resolve(!error && !response.destroyed))
  })
  if (taken && event.type === 'done') await onDelivered?.()
}

function send(response: Response, event: WireEvent, seq: bigint | null = null): void {
  response.write(frame(event, seq))
}

const frame = ({ type, data }: WireEvent, seq: bigint | null) =>
  `${seq === null ? '' : `id: ${seq}\n`}data: ${JSON.stringify({ type, data })}\n\n`
