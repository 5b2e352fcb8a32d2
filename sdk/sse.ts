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
  let rest: string[] = [] // pieces of a line whose end has not come
  let id: string | undefined
  let lines: string[] = []
  let chars = 0 // of the frame so far
  const endOfFrame = (): Frame[] => {
    const frame = { id, data: lines.join('\n') }
    const filled = lines.length > 0
    lines = []
    chars = 0
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
  const keep = (piece: string): void => {
    chars += piece.length
    if (chars > streamEventCharsMax) throw new StreamCut('An event is too large.')
    rest.push(piece)
  }
  return (text) => {
    const frames: Frame[] = []
    let from = 0
    for (let end = text.indexOf('\n'); end >= 0; from = end + 1, end = text.indexOf('\n', from)) {
      keep(text.slice(from, end))
      const whole = rest.join('')
      rest = []
      frames.push(...line(whole.endsWith('\r') ? whole.slice(0, -1) : whole))
    }
    if (from < text.length) keep(text.slice(from))
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
    void reader.cancel().catch(() => undefined) // whoever leaves does not wait for the other side
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
