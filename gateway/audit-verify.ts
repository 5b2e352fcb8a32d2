// Verification by anybody with the records and the public keys: canonical form, order, links, signatures, and the end of
// the chain. The first broken record is named.
import { verify, type KeyObject } from 'node:crypto'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import { sha256Hex } from '../crypto/evidence.ts'
import { noPredecessor, type Head } from '../db/audit.ts'
import { ChainLink } from '../schemas/audit.ts'

export type Verified =
  | { readonly ok: true; readonly count: number }
  | { readonly ok: false; readonly firstBrokenSeq: number; readonly reason: string }

export type StoredRecord = { readonly seq: number; readonly body: string }

export type Expectation = {
  /** Public keys by kid, retired ones too. */
  readonly publicKeys: ReadonlyMap<string, KeyObject>
  readonly tenant: string
  /** Where the chain must end; null when its head is missing. */
  readonly head: Head | null
}

/** Walks a tenant's chain from its first record to its head. */
export async function verifyChain(
  records: AsyncIterable<StoredRecord> | Iterable<StoredRecord>,
  expected: Expectation,
): Promise<Verified> {
  let last: Head = { seq: 0, sha256: noPredecessor }
  for await (const record of records) {
    const reason = faultOf(record, last, expected)
    if (reason !== null) return { ok: false, firstBrokenSeq: last.seq + 1, reason }
    last = { seq: record.seq, sha256: sha256Hex(record.body) }
  }
  return endOf(last, expected.head)
}

function endOf(last: Head, head: Head | null): Verified {
  if (head === null) return { ok: false, firstBrokenSeq: last.seq + 1, reason: 'the head of the chain is missing' }
  if (head.seq > last.seq) return { ok: false, firstBrokenSeq: last.seq + 1, reason: 'the end of the chain is missing' }
  if (head.seq < last.seq) {
    return { ok: false, firstBrokenSeq: head.seq + 1, reason: 'the record lies beyond the head of the chain' }
  }
  if (head.sha256 !== last.sha256) {
    return { ok: false, firstBrokenSeq: last.seq, reason: 'the head of the chain names another record' }
  }
  return { ok: true, count: last.seq }
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

function isSigned({ sig, ...unsigned }: ChainLink, key: KeyObject): boolean {
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
