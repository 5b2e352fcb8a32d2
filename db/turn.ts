// The door's side of a turn: its key, its beginning, its state.
import type { KnownTurn } from '../domain/turn-decision.ts'
import type { Client, Queryable } from './pool.ts'

export type KeyRow = { readonly bodyHash: string; readonly turn: KnownTurn | null }

/** Locks the key of a session, making its row when it is new. */
export async function lockTurnKey(
  client: Client,
  key: { sessionId: string; key: string; explicit: boolean; bodyHash: string },
): Promise<KeyRow> {
  const { rows } = await client.query<{ turnId: string | null; bodyHash: string }>(
    `INSERT INTO turn_key (session_id, key, explicit, body_hash) VALUES ($1, $2, $3, $4)
     ON CONFLICT (session_id, key) DO UPDATE SET touched_at = clock_timestamp()
     RETURNING turn_id AS "turnId", body_hash AS "bodyHash"`,
    [key.sessionId, key.key, key.explicit, key.bodyHash],
  )
  const [row] = rows
  if (!row) throw new Error('A locked key exists.')
  return { bodyHash: row.bodyHash, turn: row.turnId === null ? null : await readKnownTurn(client, row.turnId) }
}

async function readKnownTurn(client: Client, turnId: string): Promise<KnownTurn | null> {
  const { rows } = await client.query<KnownTurn>(
    `SELECT t.id AS "turnId", t.try, y.state AS "tryState", y.reason, t.model_output AS "modelOutput", t.created_at AS "createdAt",
       t.ended_at AS "endedAt", t.done_delivered_at AS "doneDeliveredAt"
     FROM turn t JOIN turn_try y ON y.turn_id = t.id AND y.try = t.try WHERE t.id = $1`,
    [turnId],
  )
  return rows[0] ?? null
}

/** Points the key at its turn. */
export async function pointTurnKey(
  client: Client,
  key: { sessionId: string; key: string; turnId: string; bodyHash: string },
): Promise<void> {
  await client.query('UPDATE turn_key SET turn_id = $3, body_hash = $4 WHERE session_id = $1 AND key = $2', [
    key.sessionId,
    key.key,
    key.turnId,
    key.bodyHash,
  ])
}

export type TurnOrder = {
  readonly turn: Readonly<Record<string, unknown>>
  readonly scopes: readonly string[]
  readonly epochs: readonly number[]
  readonly hold: Readonly<Record<string, unknown>>
  readonly queueMax: number
}

/** Gate, queue, hold, turn, try and user message: one call. Anything but `ok` wrote nothing. */
export async function beginTurn(client: Client, order: TurnOrder): Promise<{ answer: string; scope?: string }> {
  const { rows } = await client.query<{ reply: { answer: string; scope?: string } }>(
    'SELECT turn_begin($1, $2, $3, $4, $5) AS reply',
    [JSON.stringify(order.turn), order.scopes, order.epochs, JSON.stringify(order.hold), order.queueMax],
  )
  if (!rows[0]) throw new Error('turn_begin answers a row.')
  return rows[0].reply
}

/** submitted → queued; false when it had moved on. */
export async function markQueued(queryable: Queryable, turn: { turnId: string; try: number }): Promise<boolean> {
  const { rowCount } = await queryable.query(
    "UPDATE turn_try SET state = 'queued' WHERE turn_id = $1 AND try = $2 AND state = 'submitted'",
    [turn.turnId, turn.try],
  )
  return rowCount === 1
}

/** Where a try stands, and why it ended. */
export async function readTryState(
  queryable: Queryable,
  turn: { turnId: string; try: number },
): Promise<{ state: string; reason: string | null } | undefined> {
  const { rows } = await queryable.query<{ state: string; reason: string | null }>(
    'SELECT state, reason FROM turn_try WHERE turn_id = $1 AND try = $2',
    [turn.turnId, turn.try],
  )
  return rows[0]
}

/** Tries that were submitted and never taken. */
export async function staleTries(
  queryable: Queryable,
  order: { olderMs: number; limit: number },
): Promise<{ turnId: string; try: number; holdId: string }[]> {
  const { rows } = await queryable.query<{ turnId: string; try: number; holdId: string }>(
    `SELECT turn_id AS "turnId", try, hold_id AS "holdId" FROM turn_try
     WHERE state = 'submitted' AND submitted_at < clock_timestamp() - make_interval(secs => $1::double precision / 1000) LIMIT $2`,
    [order.olderMs, order.limit],
  )
  return rows
}

/** A few tries, any of them, that were taken long ago and have not ended. */
export async function readLostCandidates(
  queryable: Queryable,
  order: { olderMs: number; limit: number },
): Promise<{ sessionId: string; turnId: string; try: number; holdId: string }[]> {
  const { rows } = await queryable.query<{ sessionId: string; turnId: string; try: number; holdId: string }>(
    `SELECT t.session_id AS "sessionId", y.turn_id AS "turnId", y.try, y.hold_id AS "holdId"
     FROM turn_try y JOIN turn t ON t.id = y.turn_id
     WHERE y.state <> 'ended' AND y.state <> 'submitted'
       AND y.submitted_at < clock_timestamp() - make_interval(secs => $1::double precision / 1000) ORDER BY random() LIMIT $2`,
    [order.olderMs, order.limit],
  )
  return rows
}

/** The open socket of a chat POST took the last event. */
export async function markDelivered(queryable: Queryable, turnId: string): Promise<void> {
  await queryable.query(
    'UPDATE turn SET done_delivered_at = coalesce(done_delivered_at, clock_timestamp()) WHERE id = $1',
    [turnId],
  )
}

export type SessionTurn = {
  readonly state: string
  readonly reason: string | null
  readonly outcome: Record<string, unknown> | null
}

/** A turn of a session with its state, for viewers; undefined when it is not of that session. */
export async function readSessionTurn(
  queryable: Queryable,
  order: { sessionId: string; turnId: string },
): Promise<SessionTurn | undefined> {
  const { rows } = await queryable.query<SessionTurn>(
    `SELECT y.state, y.reason, t.outcome FROM turn t JOIN turn_try y ON y.turn_id = t.id AND y.try = t.try WHERE t.id = $1 AND t.session_id = $2`,
    [order.turnId, order.sessionId],
  )
  return rows[0]
}

/** Forgets keys that hold no longer. Answers how many went. */
export async function dropOldKeys(
  queryable: Queryable,
  order: { olderSeconds: number; limit: number },
): Promise<number> {
  const { rowCount } = await queryable.query(
    `DELETE FROM turn_key WHERE (session_id, key) IN (
       SELECT session_id, key FROM turn_key k WHERE touched_at < clock_timestamp() - make_interval(secs => $1)
         AND NOT EXISTS (SELECT 1 FROM turn_try y WHERE y.turn_id = k.turn_id AND y.state <> 'ended') LIMIT $2 FOR UPDATE SKIP LOCKED)`,
    [order.olderSeconds, order.limit],
  )
  return rowCount ?? 0
}
