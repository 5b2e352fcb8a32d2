// Rows of the transcript as the messages a model reads: whole turns, oldest dropped first when they are too much, all
// results of one step in one message.
import type { MessageRow } from '../db/turn-step.ts'
import { Blocks, type Block, type ModelMessage } from '../schemas/model.ts'

/** Messages of at most `bytesMax`, cut at the border of a turn; the newest turn is always whole. */
export function messagesOf(rows: readonly MessageRow[], bytesMax: number): ModelMessage[] {
  const turns = new Map<string, MessageRow[]>()
  for (const row of rows) turns.set(row.turnId, [...(turns.get(row.turnId) ?? []), row])
  // A turn whose beginning was cut off by the row limit has no user message: it is left out whole.
  const whole = [...turns.values()].filter((turn) => turn[0]?.kind === 'user')
  const kept: MessageRow[][] = []
  let bytes = 0
  for (const turn of whole.toReversed()) {
    bytes += Buffer.byteLength(JSON.stringify(turn.map((row) => row.content)))
    if (kept.length > 0 && bytes > bytesMax) break
    kept.unshift(turn)
  }
  return kept.flatMap(turnMessages)
}

function turnMessages(rows: readonly MessageRow[]): ModelMessage[] {
  const messages: { role: 'user' | 'assistant'; content: Block[] }[] = []
  for (const row of rows) {
    const role = row.kind === 'assistant' ? 'assistant' : 'user'
    const content = Blocks.parse(row.content)
    const last = messages.at(-1)
    if (row.kind === 'tool' && last?.role === 'user') last.content.push(...content)
    else if (content.length > 0) messages.push({ role, content })
  }
  return messages
}
