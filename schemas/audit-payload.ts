// What is kept of the payload of a record: the very texts whose SHA-256 stand in it; null where there was none.
import { z } from 'zod'

const text = z.string().nullable()

export const AuditPayload = z.strictObject({ input: text, output: text })
export type AuditPayload = z.output<typeof AuditPayload>

/** What of a record, of any schema version, its payload is held against. */
export const ChainPayload = z.looseObject({ input_sha256: text, output_sha256: text })

export const PayloadQuery = z.strictObject({
  /** Id of the record. */
  record: z.uuid(),
})

/** `matches`: whether these are the texts that the record has the hashes of. */
export const PayloadAnswer = z.strictObject({ id: z.string(), ...AuditPayload.shape, matches: z.boolean() })
