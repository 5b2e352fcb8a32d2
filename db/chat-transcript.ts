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

/** The results of a turn whose messages hold their beginning only; without the whole, which is read by its place. */
export async function readLongResults(queryable: Queryable, turnId: string): Promise<SaidRow[]> {
  const { rows } = await queryable.query<SaidRow>(
    `SELECT turn_id AS "turnId", kind, step, position, content FROM message
     WHERE turn_id = $1 AND kind = 'tool' AND whole IS NOT NULL ORDER BY step, position`,
    [turnId],
  )
  return rows
}

/** The sealed whole of one of them. */
export async function readWhole(
  queryable: Queryable,
  { turnId, step, position }: Pick<SaidRow, 'turnId' | 'step' | 'position'>,
): Promise<{ readonly whole: Buffer; readonly bytes: number } | undefined> {
  const { rows } = await queryable.query<{ whole: Buffer; bytes: number }>(
    `SELECT whole, whole_bytes AS bytes FROM message
     WHERE turn_id = $1 AND kind = 'tool' AND step = $2 AND position = $3 AND whole IS NOT NULL`,
    [turnId, step, position],
  )
  return rows[0]
}
