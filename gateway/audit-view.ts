// The chain as its readers see it: pages of records by filters, checkpoints, and verification in bounded steps.
import { chainStart } from '../crypto/portable/audit-chain.ts'
import { readCheckpoints } from '../db/audit-checkpoint.ts'
import { readRecords, type Head } from '../db/audit.ts'
import { findRecords, readHead, type RecordFilter, type ViewRow } from '../db/audit-view.ts'
import type { Client, Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError } from '../domain/errors.ts'
import { auditVerifyRecordsMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import { AuditCheckpoint } from '../schemas/audit.ts'
import type { AuditQuery, VerifyAnswer } from '../schemas/audit-view.ts'
import { auditScopeOf, chainOf } from './audit-access.ts'
import { readAuditKeys } from './audit-whole.ts'
import { verifyChain, verifyCheckpoint } from './audit-verify.ts'
import { openCursor, sealCursor } from './cursor.ts'
import type { SigningKeys } from './signing-keys.ts'

export type AuditViewDeps = {
  readonly pool: Pool
  readonly keys: Pick<SigningKeys, 'latest'>
  /** Records of one step of verification; `auditVerifyRecordsMax` at most, and when absent. */
  readonly verifyRecords?: number
}

type PageOrder = { readonly tenant?: string | undefined; readonly cursor?: string | undefined; readonly limit: number }

/** Records of what the caller may see, newest first. Throws `not-found` for a tenant or wallet that it may not name. */
export async function recordsFor({ pool }: AuditViewDeps, principal: Principal, query: AuditQuery) {
  const beforeOrdinal = query.cursor === undefined ? null : BigInt(openCursor('records', query.cursor, /^\d{1,18}$/))
  const rows = await findRecords(pool, filterOf(principal, query), { beforeOrdinal, limit: query.limit + 1 })
  const page = rows.slice(0, query.limit)
  const last = rows.length > page.length ? page.at(-1) : undefined
  return { records: page.map(recordOf), cursor: last ? sealCursor('records', last.ordinal.toString()) : null }
}

function filterOf(principal: Principal, { tool, tenant, ...query }: AuditQuery): RecordFilter {
  const { agent, decision, since, until, wallet } = query
  const cut = tool?.indexOf('/') ?? -1
  const tools = cut < 0 ? { tool } : { server: tool?.slice(0, cut), tool: tool?.slice(cut + 1) }
  const filter = { agent, decision, since, until, ...tools }
  const scope = auditScopeOf(principal)
  if (scope.kind === 'all') return { ...filter, tenant, wallet }
  const own = chainOf(principal, tenant)
  if (scope.kind === 'tenant') return { ...filter, tenant: own, wallet }
  if (wallet !== undefined && wallet !== scope.wallet) throw new GatewayError('not-found', 'There is no such wallet.')
  return { ...filter, tenant: own, walletId: scope.walletId }
}

// A record that was made unreadable in the store must not hide the others; verification names it.
function recordOf({ tenant, seq, body }: ViewRow): { tenant: string; seq: number } {
  try {
    const record = JSON.parse(body) as unknown
    if (typeof record === 'object' && record !== null) return { ...record, tenant, seq: Number(seq) }
  } catch {
    // Said below.
  }
  return { tenant, seq: Number(seq), ...{ unreadable: true } }
}

/** Checkpoints of a chain, oldest first. They hold no record, so every member may hold us to them. */
export async function checkpointsFor({ pool }: AuditViewDeps, principal: Principal, order: PageOrder) {
  const afterSeq = order.cursor === undefined ? 0 : Number(openCursor('checkpoints', order.cursor, /^\d{1,15}$/))
  const tenant = chainOf(principal, order.tenant)
  const rows = await readCheckpoints(pool, { tenant, afterSeq, limit: order.limit + 1 })
  const page = rows.slice(0, order.limit)
  const last = rows.length > page.length ? page.at(-1) : undefined
  return {
    checkpoints: page.map(({ body }) => AuditCheckpoint.parse(JSON.parse(body))),
    cursor: last ? sealCursor('checkpoints', last.seq.toString()) : null,
  }
}

/** One step of verification: up to `auditVerifyRecordsMax` records and the checkpoints over them, in one snapshot. */
export async function verifyFor(
  deps: AuditViewDeps,
  principal: Principal,
  order: { readonly tenant?: string | undefined; readonly cursor?: string | undefined },
): Promise<VerifyAnswer> {
  const tenant = chainOf(principal, order.tenant)
  const from = startOf(order.cursor)
  const limit = Math.min(deps.verifyRecords ?? auditVerifyRecordsMax, auditVerifyRecordsMax)
  const { head, records, checkpoints, publicKeys } = await inTransaction(deps.pool, async (client) => {
    await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    return readPart(client, tenant, { from, limit })
  })
  if (head === null && records.length === 0 && from.seq === 0 && checkpoints.length === 0)
    return { ok: true, checkedSeq: 0, cursor: null }
  const reachesEnd = records.length < limit
  const hashes = new Map<number, string>([[from.seq, from.sha256]])
  let last = from
  const onRecord = (record: Head) => {
    last = record
    hashes.set(record.seq, record.sha256)
  }
  const verified = await verifyChain(records, {
    ...{ publicKeys, tenant, from, onRecord },
    ...(reachesEnd ? { head } : {}),
  })
  if (!verified.ok) return { ok: false, firstBrokenSeq: verified.firstBrokenSeq, reason: verified.reason }
  for (const { seq, body } of checkpoints) {
    if (!reachesEnd && seq > last.seq) break
    const reason = await verifyCheckpoint({ seq, body }, { publicKeys, tenant, root: hashes.get(seq) })
    if (reason !== null) return { ok: false, firstBrokenSeq: Math.min(seq, last.seq + 1), reason }
  }
  return {
    ...{ ok: true, checkedSeq: last.seq },
    cursor: reachesEnd ? null : sealCursor('verify', `${last.seq}.${last.sha256}`),
  }
}

// The cursor says where the caller got to. One that was made up deceives nobody but its maker.
function startOf(cursor: string | undefined): Head {
  if (cursor === undefined) return chainStart
  const [seq = '', sha256 = ''] = openCursor('verify', cursor, /^\d{1,15}\.[0-9a-f]{64}$/).split('.')
  return { seq: Number(seq), sha256 }
}

async function readPart(client: Client, tenant: string, { from, limit }: { from: Head; limit: number }) {
  const page = { tenant, afterSeq: from.seq, limit }
  return {
    head: await readHead(client, tenant),
    records: await readRecords(client, page),
    checkpoints: await readCheckpoints(client, page),
    publicKeys: await readAuditKeys(client),
  }
}
