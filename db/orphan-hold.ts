// Holds that nobody will resolve: their try has ended, or there never was one. Never a hold of a try that lives.
import { orphanLookMs } from '../domain/limits.ts'
import type { Pool } from './pool.ts'
import { inTransaction } from './transaction.ts'

export type OrphanHold = {
  readonly holdId: string
  readonly seq: bigint
  readonly amountMicros: bigint
  readonly kind: 'model' | 'tool' | null
  readonly model: string | null
  /** What an attempt under this hold recorded as used, a whole one before the newest broken one; null for none. */
  readonly usage: unknown
}

/** The next ones after `afterSeq`. `endedMs`, `strayMs`: how old one must be whose try has ended, or that has no try. */
export async function findOrphanHolds(
  pool: Pool,
  page: { afterSeq: bigint; limit: number; endedMs: number; strayMs: number },
): Promise<OrphanHold[]> {
  return inTransaction(pool, async (client) => {
    await client.query(`SET LOCAL statement_timeout = ${orphanLookMs}`) // the pool's own bound is for the hot path
    const { rows } = await client.query<OrphanHold>(orphans, [page.afterSeq, page.limit, page.endedMs, page.strayMs])
    return rows
  })
}

// Holds without a resolution first: few are left to look at then.
const orphans = `WITH open AS MATERIALIZED (
       SELECT t.id, t.seq, t.amount, t.at, t.workflow_id FROM account a JOIN transfer t ON t.debit = a.id AND t.op = 'pending'
       WHERE a.code = 'user' AND a.debits_pending > 0 AND t.seq > $1
         AND NOT EXISTS (SELECT 1 FROM transfer r WHERE r.pending_id = t.id))
     SELECT t.id AS "holdId", t.seq, t.amount AS "amountMicros", e.kind, u.model, e.usage
     FROM open t
       CROSS JOIN LATERAL (SELECT CASE WHEN t.workflow_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9]{1,6}$'
         THEN t.workflow_id END AS name) w
       LEFT JOIN turn_try y ON y.turn_id = split_part(w.name, ':', 1)::uuid AND y.try = split_part(w.name, ':', 2)::integer
       LEFT JOIN turn u ON u.id = y.turn_id
       LEFT JOIN LATERAL (SELECT kind, usage FROM attempt
         WHERE hold_id = t.id AND (outcome = 'ok' OR (kind = 'model' AND usage IS NOT NULL AND outcome IS NOT NULL))
         ORDER BY outcome = 'ok' DESC, seq DESC LIMIT 1) e ON true
     WHERE CASE WHEN y.state IS NULL THEN t.at < clock_timestamp() - make_interval(secs => $4::double precision / 1000)
         ELSE y.state = 'ended' AND y.ended_at < clock_timestamp() - make_interval(secs => $3::double precision / 1000) END
     ORDER BY t.seq LIMIT $2`
