// Server-sent events from a byte stream, bounded in size and in silence. `EventSource` cannot send a bearer token, so
// the client reads the stream itself.
import { streamEventCharsMax } from '../domain/limits.ts'

export type Frame = { readonly id: string | undefined; readonly data: string }

/** The stream ended, broke or fell silent; what was read so far is good. */
export class StreamCut extends Error {
  constructor(sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause })
    this.name = 'StreamCut'
  }
}

/**
 * Splits text into frames as it arrives. LF ends a line, a CR before it is dropped, comments are skipped, a frame
 * without data only moves the id.
 */
export function createFrameReader(): (text: string) => Frame[] {
  let rest = ''
  let id: string | undefined
  let lines: string[] = []
  const endOfFrame = (): Frame[] => {
    const frame = { id, data: lines.join('\n') }
    const filled = lines.length > 0
    lines = []
    return filled ? [frame] : []
  }
  const line = (text: string): Frame[] => {
    if (text === '') return endOfFrame()
    const colon = text.indexOf(':')
    const name = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '')
    if (name === 'data') lines.push(value)
    else if (name === 'id' && !value.includes('\0')) id = value
    return []
  }
  return (text) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    const frames = parts.flatMap((part) => line(part.endsWith('\r') ? part.slice(0, -1) : part))
    if (rest.length + lines.join('').length > streamEventCharsMax) throw new StreamCut('An event is too large.')
    return frames
  }
}

/** Frames of a reply until it ends. Throws StreamCut when it breaks or when no byte comes for `idleMs`. */
export async function* readFrames(body: ReadableStream<Uint8Array>, idleMs: number): AsyncGenerator<Frame> {
  const decoder = new TextDecoder()
  const take = createFrameReader()
  for await (const value of readChunks(body, idleMs)) yield* take(decoder.decode(value, { stream: true }))
}

/** Bytes of a reply until it ends, in any browser. Throws as `readFrames` does. */
export async function* readChunks(body: ReadableStream<Uint8Array>, idleMs: number): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await readWithin(reader, idleMs)
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

type Chunk = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>['read']>>

async function readWithin(reader: ReadableStreamDefaultReader<Uint8Array>, idleMs: number): Promise<Chunk> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new StreamCut(`The stream was silent for ${idleMs} ms.`)), idleMs)
  })
  try {
    return await Promise.race([reader.read(), silence])
  } catch (error) {
    if (error instanceof StreamCut) throw error
    throw new StreamCut('The stream broke.', error)
  } finally {
    clearTimeout(timer)
  }
}
