// A chat turn over HTTP: the message that goes in and the events that come out (contracts 5 and 5.1).
import { z } from 'zod'
import { imageBytesMax, imagesPerMessageMax, messageCharsMax } from '../domain/limits.ts'
import { SessionParams } from './session.ts'
import { PlainText, Uuid } from './common.ts'

const base64CharsMax = Math.ceil(imageBytesMax / 3) * 4

export const ChatImage = z.object({
  data: z
    .string()
    .min(4)
    .max(base64CharsMax, `must hold at most ${imageBytesMax} bytes`)
    .regex(/^[A-Za-z0-9+/]+={0,2}$/, 'must be base64')
    .refine((text) => text.length % 4 === 0, 'must be base64'),
  mediaType: z.enum(['image/jpeg', 'image/png', 'image/webp']),
})
export type ChatImage = z.output<typeof ChatImage>

export const ChatRequest = z.object({
  message: PlainText.max(messageCharsMax).refine((text) => text.trim() !== '', 'must not be empty'),
  model: z.string().min(1).max(100).optional(),
  images: z.array(ChatImage).max(imagesPerMessageMax).optional(),
})

export const TurnParams = SessionParams.extend({ turnId: Uuid })

export const ResultParams = TurnParams.extend({ callId: z.string().min(1).max(200) })
/** A tool's result at its whole length. */
export const WholeResult = z.object({ id: z.string(), bytes: z.number().int().positive(), result: z.string() })

/** Last sequence number a client has seen. */
export const AfterSeq = z
  .string()
  .regex(/^\d{1,18}$/, 'must be a sequence number')
  .transform(BigInt)
export const StreamQuery = z.object({ after: AfterSeq.optional() })

export const CancelAccepted = z.object({ turnId: Uuid, status: z.literal('cancelling') })
