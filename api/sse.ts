// Server-sent events: LF framing, one `data:` line each, a comment when nothing else was said for a while, and a bounded
// buffer per client. A client that reads too slowly is dropped; it comes back with the id it saw last.
import type { ServerResponse } from 'node:http'
import { streamClientBufferBytesMax, streamKeepAliveMs } from '../domain/limits.ts'

export type WireEvent = {
  /** Place in the stream; null for an event that is none of the stream's. */
  readonly id: bigint | null
  readonly type: string
  readonly data: unknown
}

export type EventSocket = {
  /** Writes events; resolves when the client may take more, false when it is gone or was dropped. */
  readonly send: (events: readonly WireEvent[]) => Promise<boolean>
  /** Writes the last event; true when the bytes were handed to an open socket. */
  readonly finish: (event: WireEvent) => Promise<boolean>
  readonly end: () => void
}

export type EventSocketOptions = {
  readonly headers: Readonly<Record<string, string>>
  /** Told once when the client was too slow. */
  readonly onDrop: () => void
  readonly keepAliveMs?: number
  readonly bufferBytesMax?: number
}

/** Begins a stream of events on the response. */
export function openEvents(response: ServerResponse, options: EventSocketOptions): EventSocket {
  const keepAliveMs = options.keepAliveMs ?? streamKeepAliveMs
  const bufferBytesMax = options.bufferBytesMax ?? streamClientBufferBytesMax
  response.statusCode = 200
  const headers = {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  }
  for (const [name, value] of Object.entries({ ...headers, ...options.headers })) response.setHeader(name, value)
  response.flushHeaders()
  const timer = setInterval(() => {
    if (response.writableLength < bufferBytesMax) response.write(': keep-alive\n\n')
  }, keepAliveMs)
  response.once('close', () => clearInterval(timer))
  const isOpen = () => !response.destroyed && !response.writableEnded
  const drop = () => {
    options.onDrop()
    response.destroy()
    return false
  }
  return {
    async send(events) {
      for (const event of events) {
        if (!isOpen()) return false
        timer.refresh()
        if (response.write(frameOf(event))) continue
        if (response.writableLength > bufferBytesMax) return drop()
        if (!(await drained(response, keepAliveMs))) return isOpen() ? drop() : false
      }
      return isOpen()
    },
    finish: (event) =>
      new Promise((resolve) => {
        if (!isOpen()) return resolve(false)
        clearInterval(timer)
        response.once('close', () => resolve(false))
        response.write(frameOf(event), (error) => resolve(!error && isOpen()))
      }),
    end: () => response.end(),
  }
}

/** One event as it goes over the wire. */
export function frameOf({ id, type, data }: WireEvent): string {
  return `${id === null ? '' : `id: ${id}\n`}data: ${JSON.stringify({ type, data })}\n\n`
}

/** Whether the reader took what was written within the time; false when it is gone. */
export function drained(response: ServerResponse, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isDrained: boolean) => {
      clearTimeout(timer)
      response.off('drain', onDrain)
      response.off('close', onClose)
      resolve(isDrained)
    }
    const onDrain = () => settle(true)
    const onClose = () => settle(false)
    const timer = setTimeout(() => settle(false), timeoutMs)
    response.once('drain', onDrain)
    response.once('close', onClose)
  })
}
