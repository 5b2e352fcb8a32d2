// Verification of stored chains: order, links, signatures and the end. The first broken record is named. The rules are
// those that anybody with a file and the public keys applies.
import { verify, type KeyObject } from 'node:crypto'
import { chainStart, faultOfCheckpoint, faultOfRecord, type ChainTools } from '../crypto/portable/audit-chain.ts'
import type { StoredRecord } from '../crypto/portable/audit-chain.ts'
import { sha256Hex } from '../crypto/evidence.ts'
import type { Head } from '../db/audit.ts'
import { auditVerifyYieldRecords } from '../domain/limits.ts'
import type { PublicKey, SigningKeys } from './signing-keys.ts'

export type Verified =
  | { readonly ok: true; readonly count: number }
  | { readonly ok: false; readonly firstBrokenSeq: number; readonly reason: string }

/** Public keys by kid, retired ones too. */
export type KeysById = ReadonlyMap<string, KeyObject>

export type Expectation = {
  readonly publicKeys: KeysById
  readonly tenant: string
  /** Where the chain must end; null when its head is missing. Absent for a part that ends before. */
  readonly head?: Head | null
  /** The record before the first; absent at the beginning of the chain. */
  readonly from?: Head
  /** Told of each record that stands. */
  readonly onRecord?: (record: Head) => void
}

export function keysById(keys: readonly Pick<PublicKey, 'kid' | 'key'>[]): KeysById {
  return new Map(keys.map(({ kid, key }) => [kid, key]))
}

/** Hashing and signatures with the cryptography of this process. */
export function chainTools(publicKeys: KeysById): ChainTools {
  return {
    sha256: sha256Hex,
    verify({ kid, text, signature }) {
      const key = publicKeys.get(kid)
      return key && verify(null, Buffer.from(text, 'utf8'), key, Buffer.from(signature, 'base64'))
    },
  }
}

/** The same over the keys of an installation, read again for a key that is not known yet. */
export function liveTools(keys: Pick<SigningKeys, 'publicKeys' | 'latest'>): ChainTools {
  let known = keysById(keys.publicKeys('audit'))
  return {
    sha256: sha256Hex,
    async verify(signed) {
      if (!known.has(signed.kid)) known = keysById(await keys.latest('audit'))
      return chainTools(known).verify(signed)
    },
  }
}

/** Walks a tenant's chain, or a part of it, and lets others work in between. */
export async function verifyChain(
  records: AsyncIterable<StoredRecord> | Iterable<StoredRecord>,
  expected: Expectation,
): Promise<Verified> {
  const tools = chainTools(expected.publicKeys)
  let last: Head = expected.from ?? chainStart
  let count = 0
  for await (const record of records) {
    const reason = await faultOfRecord(tools, record, { last, tenant: expected.tenant })
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

/**
 * What is wrong with a stored checkpoint; null when nothing is. `root`: hash of the record it stands for, undefined when
 * that record is not there.
 */
export function verifyCheckpoint(
  stored: StoredRecord,
  expected: Pick<Expectation, 'publicKeys' | 'tenant'> & { readonly root: string | undefined },
): Promise<string | null> {
  return faultOfCheckpoint(chainTools(expected.publicKeys), stored, expected)
}
