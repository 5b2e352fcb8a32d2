// Verification of an exported file with the public keys alone: no server, no account. It says which form was checked,
// and names the first record that does not stand.
import {
  chainStart,
  faultOfCheckpoint,
  faultOfRecord,
  isSigned,
  readCanonical,
} from '../crypto/portable/audit-chain.ts'
import type { ChainTools, Link } from '../crypto/portable/audit-chain.ts'
import { AuditCheckpoint } from '../schemas/audit.ts'
import { BrokenLine, ExportHeader, RedactedLine, type ExportForm } from '../schemas/audit-export.ts'

export type FileVerdict =
  | {
      readonly ok: true
      /** `original`: the sealed records themselves. `redacted`: their hashes, and the redaction's own signatures. */
      readonly form: ExportForm
      readonly tenant: string
      readonly day: string | null
      readonly records: number
      /** The record before the first, and the last one. */
      readonly from: Link
      readonly to: Link
      /** When the closing checkpoint was signed; null for a chain without records. */
      readonly checkpointAt: string | null
      /** Whether the day was over by then, so that the file holds all of it; null for a part by numbers. */
      readonly dayOver: boolean | null
    }
  | {
      readonly ok: false
      readonly form: ExportForm | null
      /** Null when the file as a whole is at fault, not a record. */
      readonly firstBrokenSeq: number | null
      readonly reason: string
    }

export type FileExpectation = {
  readonly tools: ChainTools
  /** What the first record must continue, such as the end of the file of the day before. */
  readonly previous?: Link | undefined
}

/** Checks one export, line by line; nothing but the last hash is kept. */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  expected: FileExpectation,
): Promise<FileVerdict> {
  const { tools, previous } = expected
  let header: ExportHeader | undefined
  let last: Link = chainStart
  let checkpoint: AuditCheckpoint | undefined
  const fail = (reason: string, firstBrokenSeq: number | null = last.seq + 1): FileVerdict => ({
    ok: false,
    form: header?.form ?? null,
    firstBrokenSeq,
    reason,
  })
  for await (const line of lines) {
    if (header === undefined) {
      const opened = await openingOf(tools, line)
      if (typeof opened === 'string') return fail(opened, null)
      if (previous && !sameLink(opened.from, previous))
        return fail('the file does not continue the one before', previous.seq + 1)
      header = opened
      last = header.from
    } else if (checkpoint !== undefined) return fail('something follows the closing checkpoint')
    else if (last.seq === header.to) {
      const reason = await faultOfCheckpoint(tools, { seq: last.seq, body: line }, { ...header, root: last.sha256 })
      if (reason !== null) return fail(endReason(line, reason))
      checkpoint = AuditCheckpoint.parse(JSON.parse(line))
    } else {
      const next = await nextLink(tools, { header, last, line })
      if (typeof next === 'string') return fail(next)
      last = next
    }
  }
  if (header === undefined) return fail('the file is empty', null)
  if (last.seq < header.to) return fail(`the file ends before record ${header.to}`)
  if (checkpoint === undefined && last.seq > 0) return fail('the closing checkpoint is missing')
  const { form, tenant, day, from, to } = header
  const checkpointAt = checkpoint?.ts ?? null
  const dayOver = day === null ? null : Date.parse(header.ts) >= Date.parse(`${day}T00:00:00Z`) + dayMs
  return { ok: true, ...{ form, tenant, day, from, to: last, checkpointAt, dayOver }, records: to - from.seq }
}

const dayMs = 86_400_000

const sameLink = (a: Link, b: Link) => a.seq === b.seq && a.sha256 === b.sha256

// A reason, or the opening line.
async function openingOf(tools: ChainTools, line: string): Promise<ExportHeader | string> {
  const header = ExportHeader.safeParse(readCanonical(line)).data
  if (!header) return 'the file does not begin as an export does'
  const signed = await isSigned(tools, header)
  if (signed === undefined) return 'the opening line was signed with an unknown key'
  if (!signed) return 'the signature does not fit the opening line'
  const { from, to } = header
  if (to < from.seq || (from.seq === 0 && from.sha256 !== chainStart.sha256))
    return 'the opening line contradicts itself'
  return header
}

type Next = { readonly header: ExportHeader; readonly last: Link; readonly line: string }

async function nextLink(tools: ChainTools, { header, last, line }: Next): Promise<Link | string> {
  const broken = BrokenLine.safeParse(readCanonical(line)).data
  if (broken) return `the server would not sign from here on: ${broken.reason}`
  if (header.form === 'redacted') return redactedLink(tools, { header, last, line })
  const seq = seqOf(line, last.seq + 1)
  const reason = await faultOfRecord(tools, { seq, body: line }, { last, tenant: header.tenant })
  return reason ?? { seq, sha256: await tools.sha256(line) }
}

async function redactedLink(tools: ChainTools, { header, last, line }: Next): Promise<Link | string> {
  const redacted = RedactedLine.safeParse(readCanonical(line)).data
  if (!redacted) return 'the line is not a redacted record'
  const { seq, sha256, record } = redacted
  if (redacted.export !== header.id) return 'the line comes from another export'
  if (seq !== last.seq + 1) return 'the record is missing'
  const signed = await isSigned(tools, redacted)
  if (signed === undefined) return 'the line was signed with an unknown key'
  if (!signed) return 'the signature does not fit the line'
  if (record['seq'] !== seq || record['tenant'] !== header.tenant) return 'the line contradicts its record'
  return redacted.prev_sha256 === last.sha256 ? { seq, sha256 } : 'the record does not continue the one before'
}

// A record that says another number than its place is missing or moved; one that says none is judged as it stands.
function seqOf(line: string, place: number): number {
  const value = readCanonical(line)
  const said = typeof value === 'object' && value !== null && 'seq' in value ? value.seq : place
  return typeof said === 'number' ? said : place
}

function endReason(line: string, reason: string): string {
  const broken = BrokenLine.safeParse(readCanonical(line)).data
  return broken ? `the server would not sign: ${broken.reason}` : reason
}
