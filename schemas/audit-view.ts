// What is asked of the chain over HTTP, and what comes back (contracts 15).
import { z } from 'zod'
import { auditCursorCharsMax } from '../domain/limits.ts'
import { AuditCheckpoint } from './audit.ts'
import { Page } from './common.ts'

const name = z.string().min(1).max(200)
const limit = Page.shape.limit
const Cursor = z.string().min(1).max(auditCursorCharsMax)
/** Of an operator: whose chain. Everybody else has one. */
const tenant = name.optional()

export const AuditDecision = z.enum(['allow', 'deny', 'require'])

export const AuditQuery = z.strictObject({
  tenant,
  wallet: z
    .string()
    .regex(/^0x[0-9a-fA-F]{40}$/, 'must be an address')
    .transform((text) => text.toLowerCase())
    .optional(),
  agent: name.optional(),
  /** `server/tool`, or the tool's own name on any server. */
  tool: name.optional(),
  decision: AuditDecision.optional(),
  since: z.iso.datetime().optional(),
  until: z.iso.datetime().optional(),
  cursor: Cursor.optional(),
  limit,
})
export type AuditQuery = z.output<typeof AuditQuery>

/** Records as they stand in the chain; one that is no JSON any more says so. */
export const AuditPage = z.object({
  records: z.array(z.looseObject({ tenant: z.string(), seq: z.number().int() })),
  /** Goes on from here; null at the end. */
  cursor: z.string().nullable(),
})

export const CheckpointQuery = z.strictObject({ tenant, cursor: Cursor.optional(), limit })
export const CheckpointPage = z.object({ checkpoints: z.array(AuditCheckpoint), cursor: z.string().nullable() })

export const VerifyOrder = z.strictObject({ tenant, cursor: Cursor.optional() })
/** `cursor` goes on where this call stopped; null when the end of the chain was reached. */
export const VerifyAnswer = z.union([
  z.strictObject({ ok: z.literal(true), checkedSeq: z.number().int(), cursor: z.string().nullable() }),
  z.strictObject({ ok: z.literal(false), firstBrokenSeq: z.number().int(), reason: z.string() }),
])
export type VerifyAnswer = z.output<typeof VerifyAnswer>

const day = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}$/, 'must be a UTC day such as 2026-01-31')
  .refine((text) => isDay(text), 'is no day')
const seq = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number')
  .transform(Number)

/** Either a day or a part of the chain: what follows `after`, up to `to`. */
export const ExportQuery = z
  .strictObject({
    tenant,
    day: day.optional(),
    after: seq.optional(),
    to: seq.optional(),
    redact: z.enum(['true', 'false']).optional(),
  })
  .refine((query) => (query.day === undefined) !== (query.after === undefined), 'takes either day or after')
  .refine((query) => query.to === undefined || query.after !== undefined, 'takes to beside after only')
export type ExportQuery = z.output<typeof ExportQuery>

function isDay(text: string): boolean {
  const at = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text)
}
