// `gatehouse audit`: what was decided, the chain as a file, and whether it stands.
import { openAuditKeys, verifyExport } from '../sdk/client.ts'
import { parseWords, subcommandOf } from './arguments.ts'
import { upload } from './audit-upload.ts'
import { sentenceOf, verify } from './audit-verify.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { printFacts, printJson, printLine, printNote, printTable, timeOf } from './output.ts'
import { openClient, openSignedIn } from './settings.ts'

export const audit: Command = {
  summary: 'records, exports, their verification and delivery',
  help: `Usage: gatehouse audit list [--wallet ADDRESS] [--agent ID] [--tool SERVER/TOOL] [--decision allow|deny|require]
                            [--since TIME] [--until TIME] [--limit N] [--cursor CURSOR] [--tenant NAME] [--json]
       gatehouse audit export --day YYYY-MM-DD | --after SEQ [--to SEQ]  [--redact] [--output FILE] [--tenant NAME]
       gatehouse audit verify [--tenant NAME] [--json]             the server walks the chain
       gatehouse audit verify FILE … --keys FILE [--json]          offline: exports in their order, and public keys
       gatehouse audit keys                                        the public keys
       gatehouse audit payload RECORD-ID [--json]                  what went in and out, where it is kept
       gatehouse audit upload --to URL --state FILE [--ocsf] [--redact] [--token FILE] [--tenant NAME] [--json]

An export is one JSON text a line: what the file holds, the records, a fresh signed checkpoint. With --redact
identities are pseudonyms that are stable within the export; the hashes of the original records stay.

Verification offline needs no server and no account. It says whether original or redacted records were checked, names
the first broken record, and ends with 9 when there is one. Keep the keys where you trust them, not beside the exports.

An upload sends what the sink does not have yet and notes in the offset file (--state) how far it got. Each part is
tried three times; a run that was ended anywhere is taken up by the next one, and no record is there twice. URL is where
places to upload to are asked for: POST {name, from, to, bytes, sha256} answers {url, headers?}, then PUT. With --ocsf
URL takes arrays of OCSF 1.6.0 events under an Idempotency-Key. https only, or http on this machine; --token names a file with a bearer token.

Examples:
  npx --no gatehouse audit list --decision deny --limit 20
  npx --no gatehouse audit keys > keys.json
  npx --no gatehouse audit export --day 2026-01-31 --output audit-2026-01-31.ndjson
  npx --no gatehouse audit verify audit-2026-01-30.ndjson audit-2026-01-31.ndjson --keys keys.json
  npx --no gatehouse audit verify --json
  npx --no gatehouse audit upload --to https://store.example/upload-url --state audit.offset
  npx --no gatehouse audit upload --to https://siem.example/events --ocsf --redact --state siem.offset`,
  async run(deps, args) {
    const [name, rest] = subcommandOf(args, ['list', 'export', 'verify', 'keys', 'payload', 'upload'])
    if (name === 'list') return list(deps, rest)
    if (name === 'upload') return upload(deps, rest)
    if (name === 'payload') return payload(deps, rest)
    if (name === 'export') return exportPart(deps, rest)
    return name === 'verify' ? verify(deps, rest) : keys(deps, rest)
  },
}

const text = { type: 'string' } as const
const filters = {
  ...{ wallet: text, agent: text, tool: text, decision: text, since: text, until: text },
  ...{ limit: text, cursor: text, tenant: text },
} as const

async function list(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, { options: filters })
  const { json, url, decision, limit, ...rest } = values
  const filter = { ...rest, decision: decisionOf(decision), limit: wholeOf('limit', limit) }
  const page = await (await openSignedIn(deps, url)).audit.list(filter)
  if (json === true) {
    printJson(deps, page)
    return exitCodes.ok
  }
  const cell = (value: unknown) => (typeof value === 'string' ? value : '')
  printTable(deps, {
    headings: ['record', 'time (UTC)', 'action', 'resource', 'decision', 'status'],
    rows: page.records.map((record) => [
      String(record.seq),
      timeOf(cell(record['ts'])),
      cell(record['action']),
      cell(record['resource']),
      cell((record['policy'] as Record<string, unknown> | undefined)?.['decision']),
      [cell(record['status']), cell(record['error_code'])].filter((word) => word !== '').join(' '),
    ]),
    empty: 'There is no such record.',
  })
  if (page.cursor !== null) printLine(deps, `There are more; go on with --cursor ${page.cursor}.`, 'dim')
  return exitCodes.ok
}

function decisionOf(word: string | undefined): 'allow' | 'deny' | 'require' | undefined {
  if (word === undefined || word === 'allow' || word === 'deny' || word === 'require') return word
  throw new UsageError('--decision is allow, deny or require.')
}

function wholeOf(name: string, word: string | undefined): number | undefined {
  if (word === undefined) return undefined
  if (/^\d{1,15}$/.test(word)) return Number(word)
  throw new UsageError(`--${name} takes a whole number.`)
}

const exportOptions = {
  ...{ day: text, after: text, to: text, tenant: text, output: text },
  redact: { type: 'boolean' },
} as const

async function exportPart(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, { options: exportOptions })
  const { day, after, to, tenant, redact, output } = values
  if ((day === undefined) === (after === undefined)) throw new UsageError('Name either --day or --after.')
  if (to !== undefined && after === undefined) throw new UsageError('--to stands beside --after only.')
  const part = day === undefined ? { after: wholeOf('after', after) ?? 0, to: wholeOf('to', to) } : { day }
  const client = await openSignedIn(deps, values.url)
  const tools = await openAuditKeys(await client.audit.keys())
  const file = await deps.openOutput(output === undefined ? undefined : deps.absolute(output))
  const lines = client.audit.export({ ...part, tenant, redact, signal: deps.signal })
  try {
    const verdict = await verifyExport(kept(lines, file.write), { tools })
    await file.close()
    if (!verdict.ok) printNote(deps, `gatehouse: ${sentenceOf(verdict)}`)
    else if (output !== undefined && values.json === true) printJson(deps, { file: output, ...verdict })
    else if (output !== undefined) printLine(deps, `${output}: ${sentenceOf(verdict)}`)
    return verdict.ok ? exitCodes.ok : exitCodes.broken
  } catch (error) {
    await file.abandon()
    throw error
  }
}

// What is checked is kept, a fault too: the server ends the file there, and the file is evidence of it.
async function* kept(lines: AsyncIterable<string>, write: (text: string) => Promise<void>): AsyncGenerator<string> {
  for await (const line of lines) {
    await write(`${line}\n`)
    yield line
  }
}

async function payload(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['RECORD-ID'] })
  const found = await (await openSignedIn(deps, values.url)).audit.payload(words[0] ?? '')
  if (values.json === true) printJson(deps, found)
  else
    printFacts(deps, [
      ['input', found.input],
      ['output', found.output],
    ])
  if (found.matches) return exitCodes.ok
  printNote(deps, 'gatehouse: These are not the texts that the record has the hashes of.')
  return exitCodes.broken
}

async function keys(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, {})
  printJson(deps, await (await openClient(deps, values.url)).audit.keys())
  return exitCodes.ok
}
