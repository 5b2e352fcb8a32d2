// The remote codec protocol of Temporal's UI and CLI: payloads as proto JSON, bytes in base64.
import { z } from 'zod'
import { codecPayloadsMax } from '../domain/limits.ts'

const Base64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/, 'must be base64')

export const JsonPayload = z.object({ metadata: z.record(z.string(), Base64).optional(), data: Base64.optional() })
export const Payloads = z.object({ payloads: z.array(JsonPayload).max(codecPayloadsMax) })
