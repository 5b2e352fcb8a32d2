// The transcript's blocks and the model request: the dialect our messages are stored in, and what an upstream streams.
import { z } from 'zod'

const TextBlock = z.object({ type: z.literal('text'), text: z.string() })
const ImageBlock = z.object({
  type: z.literal('image'),
  mediaType: z.enum(['image/jpeg', 'image/png', 'image/webp']),
  data: z.string(),
})
const ToolUseBlock = z.object({
  type: z.literal('tool_use'),
  id: z.string(),
  name: z.string(),
  input: z.unknown(),
})
const ToolResultBlock = z.object({
  type: z.literal('tool_result'),
  toolUseId: z.string(),
  content: z.string(),
  isError: z.boolean(),
  /** Bytes of the whole result where `content` is its beginning. */
  wholeBytes: z.number().int().positive().optional(),
})
export const Block = z.discriminatedUnion('type', [TextBlock, ImageBlock, ToolUseBlock, ToolResultBlock])
export type Block = z.output<typeof Block>

export const Blocks = z.array(Block)

export type ModelMessage = { readonly role: 'user' | 'assistant'; readonly content: readonly Block[] }
export type ModelTool = {
  readonly name: string
  readonly description: string
  readonly inputSchema: Record<string, unknown>
}

export type ModelRequest = {
  readonly model: string
  readonly maxTokens: number
  readonly system: string
  readonly messages: readonly ModelMessage[]
  readonly tools: readonly ModelTool[]
}

export const ModelUsage = z.object({
  inputTokens: z.number().int().nonnegative(),
  outputTokens: z.number().int().nonnegative(),
  cacheReadTokens: z.number().int().nonnegative(),
  cacheWrite5mTokens: z.number().int().nonnegative(),
  cacheWrite1hTokens: z.number().int().nonnegative(),
})
export type ModelUsage = z.output<typeof ModelUsage>

/** What an upstream tells while it answers. `usage` is cumulative and comes early and often, so that a cut is billed. */
export type ModelEvent =
  | { readonly type: 'text' | 'thinking'; readonly text: string }
  | { readonly type: 'tool_use'; readonly id: string; readonly name: string; readonly input: unknown }
  | { readonly type: 'usage'; readonly usage: ModelUsage }
  | { readonly type: 'stop'; readonly reason: string; readonly model: string }
