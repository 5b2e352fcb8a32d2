// Verification by anybody with the records and the public keys: order, links and signatures; the first broken record is
// named.
import { createHash, verify, type KeyObject } from 'node:crypto'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'

export type ChainVerifier = {
  /** Feeds the next record's text; answers what is broken, or null. */
  readonly next: (body: string, expectedSeq: bigint) => string | null
  readonly head: () => { readonly count: number; readonly sha256: string }
}

/** A verifier that walks one tenant's chain from its first record. */
export function createChainVerifier(publicKeys: ReadonlyMap<string, KeyObject>): ChainVerifier {
  let sha256 = '0'.repeat(64)
  let count = 0
  return {
    head: () => ({ count, sha256 }),
    next(body, expectedSeq) {
      const fault = faultOf(body, { expectedSeq, sha256, publicKeys })
      sha256 = createHash('sha256').update(body).digest('hex')
      count += 1
      return fault
    },
  }
}

type Expected = {
  readonly expectedSeq: bigint
  readonly sha256: string
  readonly publicKeys: ReadonlyMap<string, KeyObject>
}

function faultOf(body: string, { expectedSeq, sha256, publicKeys }: Expected): string | null {
  const record = readRecord(body)
  if (!record) return 'the record cannot be read'
  const { sig, ...unsigned } = record
  if (canonicalJson(record) !== body) return 'the record is not in its canonical form'
  if (record['seq'] !== expectedSeq.toString()) return 'a record is missing or out of order'
  if (record['prev_sha256'] !== sha256) return 'the record does not continue the one before'
  const key = publicKeys.get(String(record['kid']))
  if (!key) return 'the record was signed with an unknown key'
  const signature = Buffer.from(String(sig).replace(/^ed25519:/, ''), 'base64')
  return verify(null, Buffer.from(canonicalJson(unsigned)), key, signature) ? null : 'the signature does not match'
}

function readRecord(body: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body) as Record<string, unknown>
  } catch {
    return undefined
  }
}
