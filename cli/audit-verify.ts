// `gatehouse audit verify`: whether evidence stands, asked of the server or found out from files without it.
import { linesOf, openAuditKeys, verifyExport, type FileVerdict } from '../sdk/client.ts'
import { parseWords } from './arguments.ts'
import type { CliDeps } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { printJson, printLine, timeOf } from './output.ts'
import { openSignedIn } from './settings.ts'

const text = { type: 'string' } as const
const filesMax = 400 // a year of days

/** The chain by the server, or files by the public keys alone. */
export async function verify(deps: CliDeps, args: readonly string[]): Promise<number> {
  const words = Array.from({ length: filesMax }, () => '[FILE]')
  const { values, words: files } = parseWords(args, { words, options: { keys: text, tenant: text } })
  if (files.length > 0) return verifyFiles(deps, files, values)
  if (values.keys !== undefined) throw new UsageError('--keys is for files; name them.')
  const { audit: remote } = await openSignedIn(deps, values.url)
  let cursor: string | undefined
  for (;;) {
    const verdict = await remote.verify({ tenant: values.tenant, cursor })
    if (!verdict.ok || verdict.cursor === null) {
      const { ok } = verdict
      if (values.json === true) printJson(deps, verdict)
      else if (verdict.ok) printLine(deps, `The chain stands: ${verdict.checkedSeq} records.`)
      else printLine(deps, `Broken at record ${verdict.firstBrokenSeq}: ${verdict.reason}.`)
      return ok ? exitCodes.ok : exitCodes.broken
    }
    cursor = verdict.cursor
    deps.signal.throwIfAborted()
  }
}

type FileOptions = { readonly keys?: string | undefined; readonly json?: boolean | undefined }

async function verifyFiles(deps: CliDeps, files: readonly string[], options: FileOptions): Promise<number> {
  if (options.keys === undefined) throw new UsageError('The public keys are missing: --keys FILE.')
  const tools = await openAuditKeys(jsonOf(await textOf(deps, options.keys))).catch(() => {
    throw new UsageError(`${options.keys} holds no public keys of a chain.`)
  })
  const verdicts: (FileVerdict & { readonly file: string })[] = []
  let last: FileVerdict | undefined
  for (const file of files) {
    const bytes = await deps.readBytes(deps.absolute(file))
    if (bytes === undefined) throw new UsageError(`There is no file ${file}.`)
    // Pseudonyms of two exports differ; the hashes of the records go on all the same.
    last = await verifyExport(readable(linesOf(bytes)), { tools, previous: last?.ok === true ? last.to : undefined })
    verdicts.push({ file, ...last })
    if (options.json !== true) printLine(deps, `${file}: ${sentenceOf(last)}`)
    if (!last.ok) break
  }
  if (options.json === true) printJson(deps, { ok: last?.ok === true, files: verdicts })
  return last?.ok === true ? exitCodes.ok : exitCodes.broken
}

// What is no text has no line of an export in it.
async function* readable(lines: AsyncIterable<string>): AsyncGenerator<string> {
  try {
    yield* lines
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error
    yield ''
  }
}

/** A verdict in one sentence. */
export function sentenceOf(verdict: FileVerdict): string {
  if (!verdict.ok) {
    const place = verdict.firstBrokenSeq === null ? 'Broken' : `Broken at record ${verdict.firstBrokenSeq}`
    return `${place}: ${verdict.reason}.`
  }
  const { records, from, to, tenant, form, checkpointAt, dayOver } = verdict
  const what = form === 'original' ? 'original records' : 'redacted records, by the hashes of the originals'
  const range = records === 0 ? '' : ` (${from.seq + 1} to ${to.seq})`
  const signed = checkpointAt === null ? '' : `, checkpoint of ${timeOf(checkpointAt)} UTC`
  const more = dayOver === false ? ' The day was not over when this was exported.' : ''
  return `${records} ${what}${range} of ${tenant} stand${signed}.${more}`
}

async function textOf(deps: CliDeps, path: string): Promise<string> {
  const file = await deps.readFile(deps.absolute(path))
  if (file === undefined) throw new UsageError(`There is no file ${path}.`)
  return file.text
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
