// A part of a chain as a file, line by line: what it holds, the records, a fresh signed checkpoint. Each record is
// checked on its way out, so that nothing is signed for what does not stand; the first that does not ends the file.
import { randomUUID } from 'node:crypto'
import { sha256Hex } from '../crypto/evidence.ts'
import { chainStart, faultOfRecord, type Link } from '../crypto/portable/audit-chain.ts'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import { readRecords } from '../db/audit.ts'
import { lastCheckpointSeq } from '../db/audit-checkpoint.ts'
import { firstSealedFrom, readHead } from '../db/audit-view.ts'
import type { Pool, Queryable } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import { auditExportPageRows, auditVerifyYieldRecords } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import {
  exportKind,
  exportVersion,
  type ExportForm,
  type ExportHeader,
  type RedactedLine,
} from '../schemas/audit-export.ts'
import type { ExportQuery } from '../schemas/audit-view.ts'
import { wholeChainOf } from './audit-access.ts'
import { signCheckpoint } from './audit-checkpoint.ts'
import { createRedaction, type Redaction } from './audit-redact.ts'
import { liveTools } from './audit-verify.ts'
import type { Clock } from './ports.ts'
import type { SigningKeys } from './signing-keys.ts'

export type AuditExportDeps = {
  readonly pool: Pool
  readonly keys: Pick<SigningKeys, 'active' | 'sign' | 'publicKeys' | 'latest'>
  readonly clock: Clock
}

export type AuditExport = {
  readonly fileName: string
  /** Lines without their ends. Memory is bounded by a page of records, whatever the length. */
  readonly lines: AsyncIterable<string>
}

type Part = { readonly tenant: string; readonly day: string | null; readonly from: Link; readonly to: number }

/**
 * Opens an export of a day or of what follows a record. Throws `not-found` for a chain that the caller may not see
 * whole, `request-invalid` for a place beyond its end.
 */
export async function openExport(
  deps: AuditExportDeps,
  principal: Principal,
  query: ExportQuery,
): Promise<AuditExport> {
  const part = await partOf(deps.pool, wholeChainOf(principal, query.tenant), query)
  const form = query.redact === 'true' ? 'redacted' : 'original'
  const { from, to, day } = part
  const name = `audit-${day ?? `${from.seq + 1}-${to}`}${form === 'redacted' ? '-redacted' : ''}.ndjson`
  return { fileName: name, lines: linesOf(deps, part, form) }
}

async function partOf(pool: Pool, tenant: string, query: ExportQuery): Promise<Part> {
  const head = (await readHead(pool, tenant)) ?? chainStart
  const day = query.day ?? null
  if (day === null) {
    const after = query.after ?? 0
    if (after > head.seq) throw new GatewayError('request-invalid', `The chain ends with record ${head.seq}.`)
    const to = Math.max(after, Math.min(query.to ?? head.seq, head.seq))
    return { tenant, day, from: await linkOf(pool, tenant, after), to }
  }
  const begin = Date.parse(`${day}T00:00:00Z`)
  const [first, next] = [await edgeOf(pool, tenant, begin), await edgeOf(pool, tenant, begin + 86_400_000)]
  const to = next === null ? head.seq : next - 1
  return { tenant, day, from: await linkOf(pool, tenant, first === null ? head.seq : Math.min(first - 1, to)), to }
}

const edgeOf = (pool: Pool, tenant: string, atMs: number) => firstSealedFrom(pool, tenant, new Date(atMs))

// The hash is taken from the record itself: a column beside it proves nothing.
async function linkOf(queryable: Queryable, tenant: string, seq: number): Promise<Link> {
  if (seq === 0) return chainStart
  const [record] = await readRecords(queryable, { tenant, afterSeq: seq - 1, limit: 1 })
  if (record?.seq === seq) return { seq, sha256: sha256Hex(record.body) }
  throw new GatewayError('request-invalid', `The chain has no record ${seq}.`)
}

type Writing = {
  readonly id: string
  readonly redaction: Redaction | null
  readonly sign: (unsigned: Readonly<Record<string, unknown>>) => string
}

async function* linesOf(deps: AuditExportDeps, part: Part, form: ExportForm): AsyncGenerator<string> {
  const writing: Writing = {
    id: randomUUID(),
    redaction: form === 'redacted' ? createRedaction() : null,
    sign: (unsigned) => signed(deps.keys, unsigned),
  }
  yield headerOf(deps, part, writing)
  let last = part.from
  for await (const { seq, body, fault } of checkedRecords(deps, part)) {
    if (fault !== null) return yield canonicalJson({ broken: last.seq + 1, reason: fault })
    last = { seq, sha256: sha256Hex(body) }
    yield writing.redaction === null ? body : redactedLine(writing, last, body)
  }
  const fault = await faultOfEnd(deps, part, last)
  if (fault !== null) return yield canonicalJson({ broken: last.seq + 1, reason: fault })
  if (last.seq === 0) return // a chain without records has no checkpoint
  const tenant = writing.redaction?.tenant(part.tenant) ?? part.tenant
  yield signCheckpoint(deps.keys, { tenant, head: last, at: deps.clock() }).body
}

function headerOf({ clock }: AuditExportDeps, { tenant, day, from, to }: Part, writing: Writing): string {
  const header: Omit<ExportHeader, 'kid' | 'sig'> = {
    kind: exportKind,
    version: exportVersion,
    id: writing.id,
    form: writing.redaction === null ? 'original' : 'redacted',
    tenant: writing.redaction?.tenant(tenant) ?? tenant,
    ...{ day, from, to },
    ts: clock().toISOString(),
  }
  return writing.sign(header)
}

function redactedLine({ id, redaction, sign }: Writing, { seq, sha256 }: Link, body: string): string {
  const record = JSON.parse(body) as Record<string, unknown> // it passed as a canonical record
  const line: Omit<RedactedLine, 'kid' | 'sig'> = {
    export: id,
    ...{ seq, sha256 },
    prev_sha256: String(record['prev_sha256']),
    record: redaction?.record(record) ?? record,
  }
  return sign(line)
}

function signed(keys: AuditExportDeps['keys'], unsigned: Readonly<Record<string, unknown>>): string {
  const body = { ...unsigned, kid: keys.active('audit').kid }
  const { signature } = keys.sign('audit', Buffer.from(canonicalJson(body), 'utf8'))
  return canonicalJson({ ...body, sig: `ed25519:${signature.toString('base64')}` })
}

type Checked = { readonly seq: number; readonly body: string; readonly fault: string | null }

// A page at a time, each record against the one before. A page that ends early is a gap.
async function* checkedRecords(deps: AuditExportDeps, { tenant, from, to }: Part): AsyncGenerator<Checked> {
  const tools = liveTools(deps.keys)
  let last = from
  while (last.seq < to) {
    const limit = Math.min(auditExportPageRows, to - last.seq)
    const page = await readRecords(deps.pool, { tenant, afterSeq: last.seq, limit })
    if (page.length === 0) return yield { seq: last.seq + 1, body: '', fault: 'the record is missing' }
    for (const record of page) {
      const fault = await faultOfRecord(tools, record, { last, tenant })
      yield { ...record, fault }
      if (fault !== null) return
      if (record.seq % auditVerifyYieldRecords === 0) await new Promise((resolve) => setImmediate(resolve))
      last = { seq: record.seq, sha256: sha256Hex(record.body) }
    }
  }
}

// A chain that was cut off must not be signed for as if it were whole. Whoever exports while it grows sees less than it
// holds by now; a head or a checkpoint that is ahead of its records is another matter.
async function faultOfEnd({ pool }: AuditExportDeps, { tenant }: Part, last: Link): Promise<string | null> {
  const head = await readHead(pool, tenant)
  if (last.seq === 0 && head === null) return null
  if (head === null) return 'the head of the chain is missing'
  if (head.seq < last.seq) return 'the record lies beyond the head of the chain'
  if (head.seq > last.seq) return null
  if (head.sha256 !== last.sha256) return 'the head of the chain names another record'
  return (await lastCheckpointSeq(pool, tenant)) > head.seq ? 'the chain ends before its checkpoint' : null
}
