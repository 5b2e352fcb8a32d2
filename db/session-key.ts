// Wrapped keys of sessions. A session without one has either said nothing yet, or is deleted: then what is left of it in
// backups and dead pages cannot be read any more.
import type { Client, Queryable } from './pool.ts'

export type SessionKeyRow = { readonly sessionId: string; readonly version: number; readonly wrapped: Buffer }

const columns = 'session_id AS "sessionId", version, wrapped'

export async function readSessionKeys(queryable: Queryable, sessionIds: readonly string[]): Promise<SessionKeyRow[]> {
  const { rows } = await queryable.query<SessionKeyRow>({
    name: 'session-keys',
    text: `SELECT ${columns} FROM session_key WHERE session_id = ANY ($1::uuid[])`,
    values: [sessionIds],
  })
  return rows
}

/** Keeps the first key that a session is given, and answers it; undefined when the session is not open. */
export async function claimSessionKey(queryable: Queryable, row: SessionKeyRow): Promise<SessionKeyRow | undefined> {
  // The lock waits for a deletion that is under way: a deleted session gets no key again.
  await queryable.query(
    `INSERT INTO session_key (session_id, version, wrapped)
     SELECT id, $2, $3 FROM chat_session WHERE id = $1 AND state = 'open' FOR SHARE ON CONFLICT DO NOTHING`,
    [row.sessionId, row.version, row.wrapped],
  )
  return (await readSessionKeys(queryable, [row.sessionId]))[0]
}

/** Session of a turn. */
export async function sessionOfTurn(queryable: Queryable, turnId: string): Promise<string | undefined> {
  const { rows } = await queryable.query<{ id: string }>({
    name: 'session-of-turn',
    text: 'SELECT session_id AS id FROM turn WHERE id::text = $1',
    values: [turnId],
  })
  return rows[0]?.id
}

/** Only one rotation goes on at a time; held until the transaction ends. */
export async function lockRotation(client: Client): Promise<void> {
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('transcript-key-rotation', 0))")
}

/** The newest version that ever wrapped a key that is kept; 0 when there is none. */
export async function newestVersion(queryable: Queryable): Promise<number> {
  const { rows } = await queryable.query<{ version: number }>(
    'SELECT coalesce(max(version), 0)::integer AS version FROM session_key',
  )
  return rows[0]?.version ?? 0
}

/** Keys that are wrapped under another version, by session id. */
export async function keysOfOtherVersions(
  queryable: Queryable,
  order: { version: number; after: string; limit: number },
): Promise<SessionKeyRow[]> {
  const { rows } = await queryable.query<SessionKeyRow>(
    `SELECT ${columns} FROM session_key WHERE version <> $1 AND session_id > $2::uuid ORDER BY session_id LIMIT $3`,
    [order.version, order.after, order.limit],
  )
  return rows
}

/** Replaces a wrapping if the key was not wrapped anew or destroyed meanwhile. */
export async function rewrapSessionKey(
  queryable: Queryable,
  before: SessionKeyRow,
  after: SessionKeyRow,
): Promise<boolean> {
  const { rowCount } = await queryable.query(
    'UPDATE session_key SET version = $3, wrapped = $4 WHERE session_id = $1 AND wrapped = $2',
    [before.sessionId, before.wrapped, after.version, after.wrapped],
  )
  return rowCount === 1
}
