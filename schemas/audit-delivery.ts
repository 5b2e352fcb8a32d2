// How far a sink has a chain, as it is kept between runs, and what a store answers when it is asked for a place.
import { z } from 'zod'
import { auditUploadHeadersMax } from '../domain/limits.ts'

const Hash = z.string().regex(/^[0-9a-f]{64}$/)
const Seq = z.number().int().nonnegative()

/** What is kept between runs: everything up to `seq` was taken; `pending` was begun, and is sent again as it was cut. */
export const DeliveryState = z.strictObject({
  version: z.literal(1),
  sink: z.string(),
  form: z.enum(['original', 'redacted', 'ocsf', 'ocsf-redacted']),
  seq: Seq,
  sha256: Hash,
  pending: z.strictObject({ to: Seq, sha256: Hash }).nullable(),
})
export type DeliveryState = z.output<typeof DeliveryState>

/** A presigned place, with headers that belong to its signature. Other members are ignored. */
export const UploadPlace = z.object({
  url: z.string().max(8_000),
  headers: z
    .record(z.string().regex(/^(?:x-|content-)[a-z0-9-]{1,100}$/i), z.string().max(2_000))
    .refine((headers) => Object.keys(headers).length <= auditUploadHeadersMax, 'are too many')
    .default({}),
})
