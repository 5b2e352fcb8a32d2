// Bytes to lines, with a bound on each.
import { auditLineCharsMax } from '../domain/limits.ts'

/** Lines without their ends (LF alone). Throws RangeError for one that is too long, TypeError for what is no UTF-8. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > auditLineCharsMax) throw new RangeError('A line is too long.')
    yield* lines
  }
  rest += decoder.decode()
  if (rest !== '') yield rest
}
