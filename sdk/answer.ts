// The words of a turn as they stand: what a broken attempt said is dropped when the turn says so.
import type { ChatEvent } from './events.ts'

export type Answer = {
  /** Takes the next event of the turn. */
  readonly take: (event: ChatEvent) => void
  /** What was said and holds. */
  readonly text: () => string
}

/**
 * Collects the text of a turn. Events with `attempt_restarted` take back what came from `discardFromSeq` on.
 *
 * @example
 * const answer = createAnswer()
 * for await (const event of client.chat(session, 'hello')) answer.take(event)
 * show(answer.text())
 */
export function createAnswer(): Answer {
  let pieces: { readonly seq: number; readonly text: string }[] = []
  return {
    take({ type, id, data }) {
      if (type === 'text') pieces.push({ seq: Number(id ?? 0), text: data })
      if (type !== 'status' || data.code !== 'attempt_restarted') return
      const from = Number(data['discardFromSeq'] ?? 0)
      pieces = pieces.filter(({ seq }) => seq < from)
    },
    text: () => pieces.map(({ text }) => text).join(''),
  }
}
