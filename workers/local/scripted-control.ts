// What a suite may ask of the scripted model over its loopback control door, and what the model writes down of each
// request. The product knows neither.
import { z } from 'zod'

const tokens = z.number().int().nonnegative()

/** How answers behave from now on. What is left out is calm. */
export const Control = z.strictObject({
  /** The next requests fail with this status. */
  fail: z
    .strictObject({
      times: z.number().int().positive(),
      status: z.number().int().min(400).max(599),
      retryAfterSeconds: z.number().nonnegative().optional(),
      /** The vendor's sentence. */
      message: z.string().optional(),
    })
    .nullable()
    .default(null),
  /** Answers wait until a control without `hold` comes. */
  hold: z.boolean().default(false),
  chunkMs: z.number().nonnegative().max(60_000).default(2),
  /** The socket is cut after so many chunks. */
  cutAfterChunks: z.number().int().nonnegative().nullable().default(null),
  /** The stream says `error` after so many chunks. */
  errorAfterChunks: z.number().int().nonnegative().nullable().default(null),
  malformed: z.boolean().default(false),
  endless: z.boolean().default(false),
  /** Said, or asked for, instead of the script; after the results of tools the script goes on. */
  say: z
    .union([z.string().min(1), z.strictObject({ tool: z.string(), input: z.record(z.string(), z.unknown()) })])
    .nullable()
    .default(null),
  /** Tool arguments are cut in the middle, for this reason. */
  tornTool: z.enum(['max_tokens', 'tool_use']).nullable().default(null),
  /** Counts instead of the measured ones. */
  usage: z
    .strictObject({
      input_tokens: tokens.default(0),
      output_tokens: tokens.default(1),
      cache_read_input_tokens: tokens.optional(),
      cache_creation_input_tokens: tokens.optional(),
      cache_creation: z
        .strictObject({ ephemeral_5m_input_tokens: tokens, ephemeral_1h_input_tokens: tokens })
        .optional(),
    })
    .nullable()
    .default(null),
})
export type Control = z.output<typeof Control>

export type ModelJournalLine = {
  readonly id: number
  readonly at: string
  readonly model: string
  readonly attemptId: string | null
  readonly idempotencyKey: string | null
  /** Size of the request. */
  readonly bytes: number
  readonly asked: string
  chunks: number
  status: number
  /** `held` waits for a release, `aborted` was given up by the client, `cut` by a directive. */
  outcome: 'open' | 'held' | 'answered' | 'aborted' | 'failed' | 'cut'
}
