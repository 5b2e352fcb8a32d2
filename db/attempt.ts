// Attempts of governed effects: begun in one SQL call, ended with their outcome.
import type { Queryable } from './pool.ts'

export type AttemptOrder = {
  readonly attempt: Readonly<Record<string, unknown>>
  readonly scopes: readonly string[]
  readonly epochs: readonly number[]
  readonly hold: Readonly<Record<string, unknown>> | null
  readonly intent: Readonly<Record<string, unknown>>
}

export type AttemptAnswer = { readonly answer: string; readonly seq?: number; readonly scope?: string }

/** Gate, hold, attempt row and audit intent in one transaction. */
export async function beginAttempt(queryable: Queryable, order: AttemptOrder): Promise<AttemptAnswer> {
  const { rows } = await queryable.query<{ reply: AttemptAnswer }>({
    name: 'attempt_begin',
    text: 'SELECT attempt_begin($1, $2, $3, $4, $5) AS reply',
    values: [
      JSON.stringify(order.attempt),
      order.scopes,
      order.epochs,
      order.hold === null ? null : JSON.stringify(order.hold),
      JSON.stringify(order.intent),
    ],
  })
  if (!rows[0]) throw new Error('attempt_begin answers a row.')
  return rows[0].reply
}

/** Writes how an attempt ended. */
export async function endAttempt(
  queryable: Queryable,
  id: string,
  end: { outcome: string; usage: unknown },
): Promise<void> {
  await queryable.query('UPDATE attempt SET outcome = $2, usage = $3, ended_at = clock_timestamp() WHERE id = $1', [
    id,
    end.outcome,
    end.usage === undefined ? null : JSON.stringify(end.usage),
  ])
}
