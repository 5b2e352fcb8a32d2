// Lines of JSON as a file: written as fast as the reader takes them, so that a slow one costs no memory. A file that
// cannot be finished is cut off, which everybody notices: its last line is missing.
import type { ServerResponse } from 'node:http'
import { auditExportIdleMs } from '../domain/limits.ts'
import { drained } from './sse.ts'

export type LineFile = { readonly fileName: string; readonly lines: AsyncIterable<string> }

/** Writes all lines, or drops a reader that takes nothing for `idleMs`. Stops reading lines when the reader leaves. */
export async function sendLines(
  response: ServerResponse,
  { fileName, lines }: LineFile,
  idleMs = auditExportIdleMs,
): Promise<void> {
  response.statusCode = 200
  response.setHeader('content-type', 'application/x-ndjson; charset=utf-8')
  response.setHeader('content-disposition', `attachment; filename="${fileName}"`)
  for await (const line of lines) {
    if (response.destroyed) return
    if (response.write(`${line}\n`) || (await drained(response, idleMs))) continue
    response.destroy()
    return
  }
  response.end()
}
