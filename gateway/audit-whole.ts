// Verification of a whole chain as it is stored: every record, where it ends, and every checkpoint over it. A checkpoint
// notices what the head row cannot: an end that was cut off together with the head that named it.
import { createPublicKey } from 'node:crypto'
import { chainStart, type StoredRecord } from '../crypto/portable/audit-chain.ts'
import { readCheckpoints } from '../db/audit-checkpoint.ts'
import { readRecords, type Head } from '../db/audit.ts'
import type { Queryable } from '../db/pool.ts'
import { listSigningKeys } from '../db/signing-key.ts'
import { auditVerifyPageRows } from '../domain/limits.ts'
import { verifyChain, verifyCheckpoint, type Expectation, type KeysById, type Verified } from './audit-verify.ts'

export type WholeChain = Pick<Expectation, 'publicKeys' | 'tenant'> & { readonly head: Head | null }

/** Walks a chain page by page and names its first broken record. Read it in one snapshot: chains grow meanwhile. */
export async function verifyWhole(queryable: Queryable, chain: WholeChain): Promise<Verified> {
  let last: Head = chainStart
  for (;;) {
    const page = { tenant: chain.tenant, afterSeq: last.seq, limit: auditVerifyPageRows }
    const records = await readRecords(queryable, page)
    const isLast = records.length < auditVerifyPageRows
    const hashes = new Map<number, string>()
    const verified = await verifyChain(records, {
      ...{ publicKeys: chain.publicKeys, tenant: chain.tenant, from: last },
      ...(isLast ? { head: chain.head } : {}),
      onRecord(record) {
        hashes.set(record.seq, record.sha256)
        last = record
      },
    })
    // Beyond a broken record nothing is known of what the chain was.
    const through = isLast && verified.ok ? Number.MAX_SAFE_INTEGER : last.seq
    const checkpoints = await checkpointsOf(queryable, { ...page, through })
    const broken = await firstBroken(checkpoints, { chain, hashes, last })
    if (broken) return broken
    if (!verified.ok) return verified
    if (isLast) return { ok: true, count: last.seq }
  }
}

/** Public keys of the chains, retired ones too, as the database has them in this transaction. */
export async function readAuditKeys(queryable: Queryable): Promise<KeysById> {
  const rows = (await listSigningKeys(queryable)).filter((row) => row.purpose === 'audit')
  return new Map(rows.map((row) => [row.kid, createPublicKey({ key: row.publicJwk, format: 'jwk' })]))
}

type Page = { readonly tenant: string; readonly afterSeq: number; readonly limit: number; readonly through: number }

// A chain has at most one checkpoint per record, so one page is enough for those over a page of records.
async function checkpointsOf(queryable: Queryable, { through, ...page }: Page): Promise<StoredRecord[]> {
  return (await readCheckpoints(queryable, page)).filter(({ seq }) => seq <= through)
}

async function firstBroken(
  checkpoints: readonly StoredRecord[],
  { chain, hashes, last }: { chain: WholeChain; hashes: ReadonlyMap<number, string>; last: Head },
): Promise<Verified | undefined> {
  for (const stored of checkpoints) {
    const { publicKeys, tenant } = chain
    const reason = await verifyCheckpoint(stored, { publicKeys, tenant, root: hashes.get(stored.seq) })
    if (reason !== null) return { ok: false, firstBrokenSeq: Math.min(stored.seq, last.seq + 1), reason }
  }
  return undefined
}
