// Sessions whose owner wants them kept so many days and no longer.
import { deleteSession } from './chat-session.ts'
import type { Client, Queryable } from './pool.ts'

// Idle for longer than the days that the wallet has set, and nothing of it runs or waits.
const overdue = `FROM chat_session s JOIN wallet_setting w ON w.wallet_id = s.wallet_id
  WHERE s.state = 'open' AND jsonb_typeof(w.settings->'conversationRetentionDays') = 'number'
    AND s.last_active_at < $1::timestamptz - make_interval(days => (w.settings->>'conversationRetentionDays')::integer)
    AND NOT EXISTS (SELECT 1 FROM turn t JOIN turn_try y ON y.turn_id = t.id WHERE t.session_id = s.id AND y.state <> 'ended')`

/** Ids of the next sessions to purge, in order. */
export async function findOverdueSessions(
  queryable: Queryable,
  order: { now: Date; after: string; limit: number },
): Promise<string[]> {
  const { rows } = await queryable.query<{ id: string }>(
    `SELECT s.id ${overdue} AND s.id > $2::uuid ORDER BY s.id LIMIT $3`,
    [order.now, order.after, order.limit],
  )
  return rows.map(({ id }) => id)
}

/** Purges it if its time is still over: a turn that began meanwhile keeps it. Answers whether it went. */
export async function purgeOverdueSession(client: Client, order: { now: Date; sessionId: string }): Promise<boolean> {
  // The lock that a turn begins under.
  await client.query('SELECT 1 FROM chat_session WHERE id = $1 FOR NO KEY UPDATE', [order.sessionId])
  const { rowCount } = await client.query(`SELECT 1 ${overdue} AND s.id = $2`, [order.now, order.sessionId])
  if (rowCount !== 1) return false
  await deleteSession(client, order.sessionId)
  return true
}
