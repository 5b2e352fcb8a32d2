// What makes a link of an audit chain sound: canonical form, place, signature, and the hash of the record before. The
// rules are here once, for the server and for whoever holds a file and the public keys; hashing and signatures come as
// tools, so that each uses the cryptography it has.
import { AuditCheckpoint, ChainLink } from '../../schemas/audit.ts'
import { canonicalJson } from './canonical-json.ts'

/** A record's place and the SHA-256 (hex) of its canonical JSON, signature included. */
export type Link = { readonly seq: number; readonly sha256: string }

/** Before the first record, which names zeros. */
export const chainStart: Link = { seq: 0, sha256: '0'.repeat(64) }

export type ChainTools = {
  /** Lower-case hex of a text's UTF-8 bytes. */
  readonly sha256: (text: string) => string | Promise<string>
  /** Whether the Ed25519 signature (base64) covers the text; undefined when there is no key of that id. */
  readonly verify: (signed: Signed) => boolean | undefined | Promise<boolean | undefined>
}

export type Signed = { readonly kid: string; readonly text: string; readonly signature: string }

export type StoredRecord = { readonly seq: number; readonly body: string }

type Place = { readonly last: Link; readonly tenant: string }

/** What is wrong with the record that should follow `last`; null when nothing is. */
export async function faultOfRecord(
  tools: ChainTools,
  { seq, body }: StoredRecord,
  { last, tenant }: Place,
): Promise<string | null> {
  if (seq !== last.seq + 1) return 'the record is missing'
  const link = ChainLink.safeParse(readCanonical(body)).data
  if (!link) return 'the record is not a canonical audit record'
  if (link.seq !== seq) return 'the record stands in the place of another'
  if (link.tenant !== tenant) return 'the record belongs to another tenant'
  const signed = await isSigned(tools, link)
  if (signed === undefined) return 'the record was signed with an unknown key'
  if (!signed) return 'the signature does not fit the record'
  return link.prev_sha256 === last.sha256 ? null : 'the record does not continue the one before'
}

/**
 * What is wrong with a checkpoint; null when nothing is. `root`: hash of the record it stands for, undefined when that
 * record is not there.
 */
export async function faultOfCheckpoint(
  tools: Pick<ChainTools, 'verify'>,
  stored: StoredRecord,
  expected: { readonly tenant: string; readonly root: string | undefined },
): Promise<string | null> {
  const checkpoint = AuditCheckpoint.safeParse(readCanonical(stored.body)).data
  if (!checkpoint || checkpoint.seq !== stored.seq || checkpoint.tenant !== expected.tenant)
    return 'the checkpoint is not one of this chain'
  if (!(await isSigned(tools, checkpoint))) return 'the signature does not fit the checkpoint'
  if (expected.root === undefined) return 'the chain ends before its checkpoint'
  return expected.root === checkpoint.root ? null : 'the checkpoint names another record'
}

// RFC 4648 §3.5: bits that mean nothing are zero, so that a signature has one text.
const signatureForm = /^ed25519:([A-Za-z0-9+/]{85}[AQgw]==)$/

/** Whether `sig` covers the canonical JSON of all other members; undefined when the key is unknown. */
export async function isSigned(
  { verify }: Pick<ChainTools, 'verify'>,
  { sig, ...unsigned }: { readonly sig: string; readonly kid: string },
): Promise<boolean | undefined> {
  const signature = signatureForm.exec(sig)?.[1] ?? ''
  return verify({ kid: unsigned.kid, text: canonicalJson(unsigned), signature })
}

/** The value of a text that is canonical JSON; undefined for any other text. */
export function readCanonical(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return canonicalJson(value) === text ? value : undefined
  } catch {
    return undefined
  }
}
