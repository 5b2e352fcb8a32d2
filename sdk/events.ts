// The events of a chat turn (contracts 5.1), parsed. Types this client does not know are skipped, so that a newer
// server may say more.
import { z } from 'zod'
import type { Frame } from './sse.ts'
import { brokenReply } from './errors.ts'

const text = z.string()
const shapes = {
  text,
  thinking: text,
  planning: text,
  status: z.looseObject({ code: z.string().optional(), message: z.string().optional() }),
  tool_call: z.looseObject({
    id: z.string(),
    name: z.string(),
    displayName: z.string().nullish(),
    args: z.unknown().optional(),
  }),
  tool_result: z.looseObject({
    id: z.string(),
    name: z.string(),
    isError: z.boolean().optional(),
    /** Where the result is only the beginning; `toolResult` has the whole. */
    wholeBytes: z.number().optional(),
    result: z.unknown().optional(),
    content: z.unknown().optional(),
  }),
  tool_approval_request: z.looseObject({
    approvalId: z.string(),
    toolName: z.string(),
    args: z.unknown().optional(),
    description: z.string().nullish(),
    timeoutMs: z.number().optional(),
  }),
  transaction_signing_request: z.looseObject({
    approvalId: z.string(),
    toolName: z.string(),
    description: z.string(),
    timeoutMs: z.number(),
  }),
  done: z.looseObject({
    model: z.string(),
    cost: z.string(),
    costRaw: z.union([z.string(), z.number()]).transform(String),
    balanceRemaining: z.union([z.string(), z.number()]).transform(String).nullish(),
    usage: z.looseObject({ inputTokens: z.number(), outputTokens: z.number() }).optional(),
    toolCallCount: z.number().optional(),
    turnId: z.string().optional(),
  }),
  error: z.looseObject({ code: z.string().optional(), message: z.string() }),
} as const

type Shapes = typeof shapes
type EventType = keyof Shapes

/** One event of a turn. `id` is its place in the stream; `done` and `error` are the last. */
export type ChatEvent = {
  readonly [T in EventType]: { readonly type: T; readonly id: string | undefined; readonly data: z.output<Shapes[T]> }
}[EventType]

const Envelope = z.looseObject({ type: z.string(), data: z.unknown() })

/** The event of a frame, or undefined for a type that is not known here. Throws GatehouseError `REPLY_INVALID`. */
export function eventOf(frame: Frame): ChatEvent | undefined {
  const { type, data } = parse(Envelope, jsonOf(frame.data))
  if (!Object.hasOwn(shapes, type)) return undefined
  const known = type as EventType
  return { type: known, id: frame.id, data: parse(shapes[known], data) } as ChatEvent
}

/** Whether nothing follows this event. */
export function isLast(event: ChatEvent): boolean {
  return event.type === 'done' || event.type === 'error'
}

function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw brokenReply(200, 'The server sent an event that breaks the contract.', parsed.error)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw brokenReply(200, 'The server sent an event that is not JSON.', cause)
  }
}
