// A checkpoint says what a chain was at a moment, signed. Its root is the hash of one record, which names the one before
// it, and so on: whoever holds the checkpoint notices when anything up to that record is changed, exchanged or cut off.
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import type { CheckpointRow } from '../db/audit-checkpoint.ts'
import type { AuditCheckpoint } from '../schemas/audit.ts'
import type { SigningKeys } from './signing-keys.ts'

export type CheckpointOrder = {
  readonly tenant: string
  readonly head: { readonly seq: number; readonly sha256: string }
  readonly at: Date
}

/** Signs where the chain stands with the active key. `head` is of a record that is committed or is about to be. */
export function signCheckpoint(
  keys: Pick<SigningKeys, 'active' | 'sign'>,
  { tenant, head, at }: CheckpointOrder,
): CheckpointRow {
  const { kid } = keys.active('audit')
  const ts = at.toISOString()
  const unsigned: Omit<AuditCheckpoint, 'sig'> = { tenant, seq: head.seq, root: head.sha256, ts, kid }
  const { signature } = keys.sign('audit', Buffer.from(canonicalJson(unsigned), 'utf8'))
  const body = canonicalJson({ ...unsigned, sig: `ed25519:${signature.toString('base64')}` })
  return { tenant, seq: head.seq, root: head.sha256, at: ts, kid, body }
}
