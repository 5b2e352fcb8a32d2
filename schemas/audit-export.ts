// A part of a chain as a file: one JSON text a line. First what the file holds, then the records in their order, last a
// fresh signed checkpoint. Records stand as they were sealed, or redacted, each under a signature of its own.
import { z } from 'zod'
import { auditKeysMax } from '../domain/limits.ts'

const Hash = z.string().regex(/^[0-9a-f]{64}$/)
const Signature = z.string().regex(/^ed25519:[A-Za-z0-9+/]{86}==$/)

export const exportKind = 'gatehouse-audit-export'
export const exportVersion = 1

/** `original`: the records that were sealed. `redacted`: pseudonyms for identities, beside the hashes of the originals. */
export const ExportForm = z.enum(['original', 'redacted'])
export type ExportForm = z.output<typeof ExportForm>

/** `sig` covers the canonical JSON of all other members. */
export const ExportHeader = z.strictObject({
  kind: z.literal(exportKind),
  version: z.literal(exportVersion),
  /** Of this export; redacted lines name it, so that none comes from another. */
  id: z.uuid(),
  form: ExportForm,
  /** A pseudonym in redacted form when the tenant is a wallet. */
  tenant: z.string(),
  /** UTC day whose records these are; null for a part by numbers. */
  day: z.string().nullable(),
  /** The record before the first one, and the number of the last one. Equal numbers: no record. */
  from: z.strictObject({ seq: z.number().int().nonnegative(), sha256: Hash }),
  to: z.number().int().nonnegative(),
  ts: z.iso.datetime(),
  kid: z.string(),
  sig: Signature,
})
export type ExportHeader = z.output<typeof ExportHeader>

/** `sha256` is of the original record, `prev_sha256` what that record names. */
export const RedactedLine = z.strictObject({
  export: z.uuid(),
  seq: z.number().int().positive(),
  sha256: Hash,
  prev_sha256: Hash,
  record: z.record(z.string(), z.unknown()),
  kid: z.string(),
  sig: Signature,
})
export type RedactedLine = z.output<typeof RedactedLine>

/** Last line in place of the checkpoint when the chain itself does not stand; nobody signs for what follows. */
export const BrokenLine = z.strictObject({ broken: z.number().int().positive(), reason: z.string() })

/** Public keys of evidence (RFC 8037 §2). Members that are not needed for verification are ignored. */
export const AuditKeySet = z.object({
  keys: z
    .array(z.object({ kid: z.string(), kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() }))
    .max(auditKeysMax),
})
