// What the first request of a turn may count, when its door has to reserve for it: the conversation is longer by then than
// any single message, and the model's window is the end of it.
import type { Agent } from '../config/agents.ts'
import type { PriceTable } from '../config/prices.ts'
import { transcriptSize } from '../db/chat-session.ts'
import type { Pool } from '../db/pool.ts'
import { imageTokensBound, toolSchemaBytesBound } from '../domain/limits.ts'
import { contextTokensOf } from '../domain/pricing.ts'
import type { Block } from '../schemas/model.ts'
import { instructionsOf } from './agent-directory.ts'
import { tokensOfBlocks } from './token-bound.ts'

type Opening = {
  readonly agent: Agent
  readonly session: { readonly id: string }
  readonly content: readonly Block[]
}

/**
 * Tokens at most, as far as they are known now. JSON around the messages is covered by the allowance for the tools; what
 * an earlier turn adds until this one runs is held then.
 */
export async function turnTokensBound(
  { pool, prices }: { readonly pool: Pool; readonly prices: PriceTable },
  { session, agent, content }: Opening,
  model: string,
): Promise<number> {
  const history = await transcriptSize(pool, session.id)
  const said = [tokensOfBlocks(content), history.bytes, history.images * imageTokensBound]
  const sizes = [Buffer.byteLength(instructionsOf(agent)), ...said]
  const sent = sizes.reduce((sum, size) => sum + size, toolSchemaBytesBound)
  return Math.min(sent, contextTokensOf(prices.contextTokens, model)) // more is no request
}
