// Continues a tenant's chain in one transaction: the head is locked, what waits in the table is taken, what is in a chain
// already is skipped, the rest is numbered, linked and signed. A crash at any point leaves all of it done or nothing.
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import { sha256Hex } from '../crypto/evidence.ts'
import { insertCheckpoint } from '../db/audit-checkpoint.ts'
import { appendRecords, findSealed, lockHead, takePending, type Head, type RecordRow } from '../db/audit.ts'
import type { Client, Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import {
  auditBatchMax,
  auditUnknownMs,
  auditYieldRecords,
  checkpointMs,
  checkpointRecordsMax,
} from '../domain/limits.ts'
import { invariant, toError } from '../domain/errors.ts'
import type { AuditIntent } from '../schemas/audit.ts'
import type { Logger } from '../telemetry/log.ts'
import { signCheckpoint } from './audit-checkpoint.ts'
import { unknownOutcome } from './audit-record.ts'
import { setAsideIntent } from './house-record.ts'
import type { SigningKeys } from './signing-keys.ts'
import type { Evidence } from './spool-reader.ts'

export type ChainDeps = {
  readonly pool: Pool
  readonly keys: Pick<SigningKeys, 'active' | 'sign'>
  readonly log: Pick<Logger, 'error'>
}

/** What a spool adds to what waits in the table. At most `auditBatchMax` pieces, all of this tenant. */
export type Batch = { readonly tenant: string; readonly evidence: readonly Evidence[] }

/** Seals a batch, and a checkpoint when one is due. Answers how much was taken from the table. */
export function sealBatch(deps: ChainDeps, { tenant, evidence }: Batch): Promise<number> {
  return inTransaction(deps.pool, async (client) => {
    const locked = await lockHead(client, tenant)
    const waiting = await takePending(client, { tenant, limit: auditBatchMax, unknownMs: auditUnknownMs })
    const all = [...evidence, ...waiting].toSorted(byTime)
    const records = await sealRecords(deps, await unsealed(client, all), { ...locked, tenant })
    await appendRecords(client, { tenant, records })
    const head = records.at(-1) ?? locked
    const isLong = head.seq - locked.checkpointSeq >= checkpointRecordsMax
    if (isLong || (locked.uncoveredMs ?? 0) >= checkpointMs) {
      await insertCheckpoint(client, signCheckpoint(deps.keys, { tenant, head, at: new Date() }))
    }
    return waiting.length
  })
}

// As far as one batch goes, the chain is in the order in which decisions were made.
function byTime(left: Evidence, right: Evidence): number {
  const [a, b] = [String(left.intent['ts']), String(right.intent['ts'])]
  if (a === b) return 0
  return a < b ? -1 : 1
}

const isKnown = ({ outcome }: Evidence) => outcome !== null && outcome['status'] !== 'unknown'

// Read again after a crash, from two spools, or late: each decision is in the chain once, with its outcome if anybody
// knows it, and an outcome that comes after its intent was sealed as unknown is a record that names it.
async function unsealed(client: Client, all: readonly Evidence[]): Promise<Evidence[]> {
  const best = new Map<string, Evidence>()
  for (const each of all) {
    const before = best.get(each.id)
    if (before === undefined || (isKnown(each) && !isKnown(before))) best.set(each.id, each)
  }
  const once = [...best.values()]
  if (once.length === 0) return once
  const sealed = await findSealed(client, idsOf(once))
  if (sealed.size === 0) return once
  const late = once
    .filter((each) => sealed.get(each.id) === true && isKnown(each))
    .map(({ id, intent, outcome }) => ({ id: lateId(id), intent: { ...intent, follows: id }, outcome }))
  const known = late.length === 0 ? new Map<string, boolean>() : await findSealed(client, idsOf(late))
  return [...once.filter(({ id }) => !sealed.has(id)), ...late.filter(({ id }) => !known.has(id))]
}

const idsOf = (all: readonly Evidence[]) => all.map(({ id }) => id)

/** The same for the same record, however often its outcome is read: a UUID of version 8 (RFC 9562 §5.8). */
function lateId(id: string): string {
  const hex = sha256Hex(`late outcome of ${id}`)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

type Chain = Head & { readonly tenant: string }

// Each signature is part of what the next record names, so they are made one after another; others have their turn
// in between.
async function sealRecords(deps: ChainDeps, evidence: readonly Evidence[], chain: Chain): Promise<RecordRow[]> {
  const records: RecordRow[] = []
  let head: Head = chain
  for (const each of evidence) {
    const record = sealOrSetAside(deps, each, { ...head, tenant: chain.tenant })
    records.push(record)
    head = record
    if (records.length % auditYieldRecords === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return records
}

// What cannot be said in a record must not keep all that comes after it out of the chain: its hash stands for it.
function sealOrSetAside(deps: ChainDeps, evidence: Evidence, chain: Chain): RecordRow {
  try {
    const { tenant, ts } = evidence.intent
    invariant(tenant === chain.tenant, 'Evidence is of the tenant of its chain.')
    invariant(typeof ts === 'string' && !Number.isNaN(Date.parse(ts)), 'Evidence says when it was.')
    return sealRecord(deps.keys, evidence, chain)
  } catch (error) {
    deps.log.error({ err: toError(error), tenant: chain.tenant, id: evidence.id }, 'evidence was set aside by its hash')
    const text = JSON.stringify({ intent: evidence.intent, outcome: evidence.outcome })
    const intent = setAsideIntent({ tenant: chain.tenant, sha256: sha256Hex(text), at: new Date() })
    return sealRecord(deps.keys, { id: evidence.id, intent, outcome: unknownOutcome }, chain)
  }
}

// Sealed as it was written: a row of an older form stays evidence.
function sealRecord(keys: ChainDeps['keys'], { id, intent, outcome }: Evidence, head: Head): RecordRow {
  const seq = head.seq + 1
  const { kid } = keys.active('audit')
  const unsigned = { ...intent, ...(outcome ?? unknownOutcome), id, seq, prev_sha256: head.sha256, kid }
  const { signature } = keys.sign('audit', Buffer.from(canonicalJson(unsigned), 'utf8'))
  const body = canonicalJson({ ...unsigned, sig: `ed25519:${signature.toString('base64')}` })
  return { seq, id, body, sha256: sha256Hex(body), ...columnsOf(intent) }
}

// The columns only find a record: what does not fit them is in its body all the same.
function columnsOf(intent: Evidence['intent']): Pick<RecordRow, 'at' | 'walletId' | 'decision'> {
  const { ts, wallet_id: walletId, policy } = intent as { [K in keyof AuditIntent]?: unknown }
  const { decision } = (policy ?? {}) as { decision?: unknown }
  return {
    at: String(ts),
    walletId: typeof walletId === 'string' && /^\d{1,18}$/.test(walletId) ? walletId : null,
    decision: typeof decision === 'string' ? decision : 'none',
  }
}
