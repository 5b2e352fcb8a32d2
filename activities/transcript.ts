// Rows of the transcript as the messages a model reads. They take no more of its window than is left for them: the newest
// turn first, its older tool results left out where it alone is too long; then whole older turns, as many as fit, without
// a gap. All results of one step are one message.
import type { MessageRow } from '../db/turn-step.ts'
import { tokensLikely } from '../gateway/token-bound.ts'
import { Blocks, type Block, type ModelMessage } from '../schemas/model.ts'

type Said = { readonly kind: MessageRow['kind']; readonly content: Block[] }

/** Messages of at most `tokensMax` likely tokens, unless the newest question and its answers alone are longer. */
export function messagesOf(rows: readonly MessageRow[], tokensMax: number): ModelMessage[] {
  const turns = new Map<string, Said[]>()
  for (const { turnId, kind, content } of rows)
    turns.set(turnId, [...(turns.get(turnId) ?? []), { kind, content: Blocks.parse(content) }])
  // A turn whose beginning was cut off by the row limit has no user message: it is left out whole.
  const whole = [...turns.values()].filter((turn) => turn[0]?.kind === 'user')
  const newest = whole.pop()
  if (newest === undefined) return []
  const kept = [shortened(newest, tokensMax)]
  let left = tokensMax - tokensOf(kept[0] ?? [])
  for (const turn of whole.toReversed()) {
    left -= tokensOf(turn)
    if (left < 0) break
    kept.unshift(turn)
  }
  return kept.flatMap(turnMessages)
}

const tokensOf = (turn: readonly Said[]) => turn.reduce((sum, { content }) => sum + tokensLikely(content), 0)

// The model has read the older results already; what it made of them stays.
function shortened(turn: readonly Said[], tokensMax: number): readonly Said[] {
  let over = tokensOf(turn) - tokensMax
  return turn.map(({ kind, content }) => {
    if (over <= 0 || kind !== 'tool') return { kind, content }
    const less = content.map(leftOut)
    over -= tokensLikely(content) - tokensLikely(less)
    return { kind, content: less }
  })
}

function leftOut(block: Block): Block {
  if (block.type !== 'tool_result') return block
  const note = `[${Buffer.byteLength(block.content)} bytes were left out: the turn has become too long.]`
  return note.length < block.content.length ? { ...block, content: note } : block
}

function turnMessages(turn: readonly Said[]): ModelMessage[] {
  const messages: { role: 'user' | 'assistant'; content: Block[] }[] = []
  for (const { kind, content } of turn) {
    const role = kind === 'assistant' ? 'assistant' : 'user'
    const last = messages.at(-1)
    if (kind === 'tool' && last?.role === 'user') last.content.push(...content)
    else if (content.length > 0) messages.push({ role, content: [...content] })
  }
  return messages
}
