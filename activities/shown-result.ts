// What a model reads of a tool's result, and a stream says: all of it, or of a long one the beginning.
import { toolResultShownBytesMax } from '../domain/limits.ts'
import type { ShownOutcome, ToolOutcome } from '../schemas/tool.ts'

/** The outcome itself, or its beginning with a note and the bytes of the whole. No character is cut in two. */
export function shownOf({ text, isError }: ToolOutcome): ShownOutcome {
  const wholeBytes = Buffer.byteLength(text)
  if (wholeBytes <= toolResultShownBytesMax) return { text, isError }
  // A character that was cut is a replacement character at the end.
  const beginning = Buffer.from(text)
    .subarray(0, toolResultShownBytesMax)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')
  const note = `[These are the first ${Buffer.byteLength(beginning)} of ${wholeBytes} bytes; the whole result is kept with the turn.]`
  return { text: `${beginning}\n${note}`, isError, wholeBytes }
}
