// Verification by anybody with the records and the public keys: canonical form, order, links, signatures, and the end of
// the chain. The first broken record is named.
import { verify, type KeyObject } from 'node:crypto'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import { sha256Hex } from '../crypto/evidence.ts'
import { noPredecessor, type Head } from '../db/audit.ts'
import { auditVerifyYieldRecords } from '../domain/limits.ts'
import { AuditCheckpoint, ChainLink } from '../schemas/audit.ts'

export type Verified =
  | { readonly ok: true; readonly count: number }
  | { readonly ok: false; readonly firstBrokenSeq: number; readonly reason: string }

export type StoredRecord = { readonly seq: number; readonly body: string }

export type Expectation = {
  /** Public keys by kid, retired ones too. */
  readonly publicKeys: ReadonlyMap<string, KeyObject>
  readonly tenant: string
  /** Where the chain must end; null when its head is missing. Absent for a part that ends before. */
  readonly head?: Head | null
  /** The record before the first; absent at the beginning of the chain. */
  readonly from?: Head
  /** Told of each record that stands. */
  readonly onRecord?: (record: Head) => void
}

/** Walks a tenant's chain, or a part of it, and lets others work in between. */
export async function verifyChain(
  records: AsyncIterable<StoredRecord> | Iterable<StoredRecord>,
  expected: Expectation,
): Promise<Verified> {
  let last: Head = expected.from ?? { seq: 0, sha256: noPredecessor }
  let count = 0
  for await (const record of records) {
    const reason = faultOf(record, last, expected)
    if (reason !== null) return { ok: false, firstBrokenSeq: last.seq + 1, reason }
    last = { seq: record.seq, sha256: sha256Hex(record.body) }
    expected.onRecord?.(last)
    count += 1
    if (count % auditVerifyYieldRecords === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return expected.head === undefined ? { ok: true, count } : endOf(last, expected.head, count)
}

function endOf(last: Head, head: Head | null, count: number): Verified {
  if (head === null) return { ok: false, firstBrokenSeq: last.seq + 1, reason: 'the head of the chain is missing' }
  if (head.seq > last.seq) return { ok: false, firstBrokenSeq: last.seq + 1, reason: 'the end of the chain is missing' }
  if (head.seq < last.seq) {
    return { ok: false, firstBrokenSeq: head.seq + 1, reason: 'the record lies beyond the head of the chain' }
  }
  if (head.sha256 !== last.sha256) {
    return { ok: false, firstBrokenSeq: last.seq, reason: 'the head of the chain names another record' }
  }
  return { ok: true, count }
}

function faultOf({ seq, body }: StoredRecord, last: Head, { publicKeys, tenant }: Expectation): string | null {
  if (seq !== last.seq + 1) return 'the record is missing'
  const link = ChainLink.safeParse(readCanonical(body)).data
  if (!link) return 'the record is not a canonical audit record'
  if (link.seq !== seq) return 'the record stands in the place of another'
  if (link.tenant !== tenant) return 'the record belongs to another tenant'
  const key = publicKeys.get(link.kid)
  if (!key) return 'the record was signed with an unknown key'
  if (!isSigned(link, key)) return 'the signature does not fit the record'
  return link.prev_sha256 === last.sha256 ? null : 'the record does not continue the one before'
}

/**
 * What is wrong with a stored checkpoint; null when nothing is. `root`: hash of the record it stands for, undefined when
 * that record is not there.
 */
export function verifyCheckpoint(
  stored: StoredRecord,
  expected: Pick<Expectation, 'publicKeys' | 'tenant'> & { readonly root: string | undefined },
): string | null {
  const checkpoint = AuditCheckpoint.safeParse(readCanonical(stored.body)).data
  const key = checkpoint && expected.publicKeys.get(checkpoint.kid)
  if (!checkpoint || checkpoint.seq !== stored.seq || checkpoint.tenant !== expected.tenant)
    return 'the checkpoint is not one of this chain'
  if (!key || !isSigned(checkpoint, key)) return 'the signature does not fit the checkpoint'
  if (expected.root === undefined) return 'the chain ends before its checkpoint'
  return expected.root === checkpoint.root ? null : 'the checkpoint names another record'
}

function isSigned({ sig, ...unsigned }: { readonly sig: string }, key: KeyObject): boolean {
  const text = /^ed25519:([A-Za-z0-9+/]{86}==)$/.exec(sig)?.[1]
  if (text === undefined) return false
  return verify(null, Buffer.from(canonicalJson(unsigned), 'utf8'), key, Buffer.from(text, 'base64'))
}

function readCanonical(body: string): unknown {
  try {
    const value: unknown = JSON.parse(body)
    return canonicalJson(value) === body ? value : undefined
  } catch {
    return undefined
  }
}
