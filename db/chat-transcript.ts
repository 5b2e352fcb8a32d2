// What was said in a turn, in the order in which it was said.
import type { Queryable } from './pool.ts'

export type SaidRow = {
  readonly turnId: string
  readonly kind: 'user' | 'assistant' | 'tool'
  readonly step: number
  readonly position: number
  readonly content: unknown
}

/** Messages of one turn; for viewers whose stream is gone. */
export async function readTurnMessages(queryable: Queryable, turnId: string): Promise<SaidRow[]> {
  const { rows } = await queryable.query<SaidRow>(
    `SELECT turn_id AS "turnId", kind, step, position, content FROM message WHERE turn_id = $1
     ORDER BY step, array_position(ARRAY['user', 'assistant', 'tool'], kind), position`,
    [turnId],
  )
  return rows
}
