// Sessions and their transcripts, as their owners read them.
import type { Client, Queryable } from './pool.ts'

export type SessionRow = {
  readonly id: string
  readonly walletId: bigint
  readonly tenant: string
  readonly agentId: string
  readonly model: string
  readonly engine: string
  readonly wsid: string
  readonly asid: string
  readonly messageCount: number
  /** Clear only in rows of an older version. */
  readonly preview: string | null
  readonly sealedPreview: Buffer | null
  readonly createdAt: Date
  readonly lastActiveAt: Date
  readonly lastMessageAt: Date | null
}

const columns = `id, wallet_id AS "walletId", tenant, agent_id AS "agentId", model, engine, wsid, asid, message_count AS "messageCount", preview,
  sealed_preview AS "sealedPreview",  created_at AS "createdAt", last_active_at AS "lastActiveAt", last_message_at AS "lastMessageAt"`

/** Inserts a session unless the wallet has `sessionsMax` open ones. */
export async function insertSession(
  client: Client,
  row: Pick<SessionRow, 'id' | 'walletId' | 'tenant' | 'agentId' | 'model' | 'engine' | 'wsid' | 'asid'>,
  sessionsMax: number,
): Promise<SessionRow | undefined> {
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('sessions:' || $1::text, 0))", [row.walletId])
  const { rows } = await client.query<SessionRow>(
    `INSERT INTO chat_session (id, wallet_id, tenant, agent_id, model, engine, wsid, asid)
     SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE (SELECT count(*) FROM chat_session WHERE wallet_id = $2 AND state = 'open') < $9
     RETURNING ${columns}`,
    [row.id, row.walletId, row.tenant, row.agentId, row.model, row.engine, row.wsid, row.asid, sessionsMax],
  )
  return rows[0]
}

/** An open session of the wallet with the agent; another wallet's does not exist. */
export async function readSession(
  queryable: Queryable,
  order: { id: string; walletId: bigint; agentId: string },
): Promise<SessionRow | undefined> {
  const { rows } = await queryable.query<SessionRow>(
    `SELECT ${columns} FROM chat_session WHERE id = $1 AND wallet_id = $2 AND agent_id = $3 AND state = 'open'`,
    [order.id, order.walletId, order.agentId],
  )
  return rows[0]
}

export async function listSessions(
  queryable: Queryable,
  order: { walletId: bigint; agentId: string | null; limit: number; offset: number },
): Promise<SessionRow[]> {
  const { rows } = await queryable.query<SessionRow>(
    `SELECT ${columns} FROM chat_session WHERE wallet_id = $1 AND ($2::text IS NULL OR agent_id = $2) AND state = 'open'
     ORDER BY last_active_at DESC, id LIMIT $3 OFFSET $4`,
    [order.walletId, order.agentId, order.limit, order.offset],
  )
  return rows
}

export type TranscriptRow = {
  readonly turnId: string
  readonly kind: 'user' | 'assistant' | 'tool'
  readonly step: number
  readonly position: number
  readonly content: unknown
  readonly createdAt: Date
}

/** The newest messages, oldest first. */
export async function readSessionMessages(
  queryable: Queryable,
  sessionId: string,
  limit: number,
): Promise<TranscriptRow[]> {
  const { rows } = await queryable.query<TranscriptRow>(
    `SELECT turn_id AS "turnId", kind, step, position, content, created_at AS "createdAt" FROM message WHERE session_id = $1 ORDER BY ordinal DESC LIMIT $2`,
    [sessionId, limit],
  )
  return rows.toReversed()
}

/** The try that runs or waits, if any. */
export async function readCurrentTurn(
  queryable: Queryable,
  sessionId: string,
): Promise<{ turnId: string; state: string } | undefined> {
  const { rows } = await queryable.query<{ turnId: string; state: string }>(
    `SELECT t.id AS "turnId", y.state FROM turn t JOIN turn_try y ON y.turn_id = t.id AND y.try = t.try
     WHERE t.session_id = $1 AND y.state <> 'ended' ORDER BY t.ordinal LIMIT 1`,
    [sessionId],
  )
  return rows[0]
}

/** Closes a session for good, purges what was said in it and destroys its key. Ids, money and evidence stay. */
export async function deleteSession(client: Client, sessionId: string): Promise<void> {
  await client.query(
    "UPDATE chat_session SET state = 'deleted', preview = NULL, sealed_preview = NULL, last_active_at = clock_timestamp() WHERE id = $1",
    [sessionId],
  )
  await client.query('DELETE FROM session_key WHERE session_id = $1', [sessionId])
  await client.query('DELETE FROM message WHERE session_id = $1', [sessionId])
  await client.query(
    "UPDATE session_node SET state = 'ended' WHERE id IN (SELECT unnest(ARRAY[wsid, asid]) FROM chat_session WHERE id = $1)",
    [sessionId],
  )
  await client.query("DELETE FROM stream WHERE id IN (SELECT 'turn:' || id FROM turn WHERE session_id = $1)", [
    sessionId,
  ])
}

/** Size of the transcript a model may read: bytes of everything but images, and how many images there are. */
export async function transcriptSize(
  queryable: Queryable,
  sessionId: string,
): Promise<{ bytes: number; images: number }> {
  const { rows } = await queryable.query<{ bytes: bigint | null; images: bigint | null }>({
    name: 'transcript-size',
    text: `SELECT sum(coalesce(m.content_bytes, clear.bytes)) AS bytes, sum(coalesce(m.images, clear.images)) AS images
      FROM message m LEFT JOIN LATERAL (
        SELECT sum(octet_length(block::text)) FILTER (WHERE block->>'type' <> 'image') AS bytes,
            count(*) FILTER (WHERE block->>'type' = 'image') AS images
          FROM jsonb_array_elements(CASE jsonb_typeof(m.content) WHEN 'array' THEN m.content ELSE '[]' END) AS block
      ) clear ON m.content_bytes IS NULL WHERE m.session_id = $1`,
    values: [sessionId],
  })
  return { bytes: Number(rows[0]?.bytes ?? 0), images: Number(rows[0]?.images ?? 0) }
}

/** Purges what a turn wrote into a session after it was deleted. Looks back a day. Answers how many messages went. */
export async function purgeDeleted(queryable: Queryable): Promise<number> {
  const { rowCount } = await queryable.query(
    `DELETE FROM message m USING chat_session s WHERE s.id = m.session_id AND s.state = 'deleted'
     AND s.last_active_at > clock_timestamp() - interval '1 day'`,
  )
  return rowCount ?? 0
}
