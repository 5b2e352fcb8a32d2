// Keys that callers choose for their requests, and replies as they are kept under them (contracts 1).
import { z } from 'zod'
import { idempotencyKeyCharsMax } from '../domain/limits.ts'

export const IdempotencyKey = z
  .string()
  .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII')
  .max(idempotencyKeyCharsMax)

export const KeptReply = z.object({
  status: z.number().int(),
  headers: z.record(z.string(), z.string()).readonly().optional(),
  body: z.unknown(),
})
export type KeptReply = z.output<typeof KeptReply>
