// Signed checkpoints of the chains: written under the lock of a chain's head, read in the order of their records.
import type { Client, Queryable } from './pool.ts'

export type CheckpointRow = {
  readonly tenant: string
  readonly seq: number
  readonly root: string
  readonly at: string
  readonly kid: string
  readonly body: string
}

/** Stores a checkpoint and notes on the head, which the transaction has locked, that all up to it is covered. */
export async function insertCheckpoint(client: Client, row: CheckpointRow): Promise<void> {
  await client.query({
    name: 'audit-checkpoint',
    text: `INSERT INTO audit_checkpoint (tenant, seq, root, at, kid, body) VALUES ($1, $2, $3, $4, $5, $6)
      ON CONFLICT DO NOTHING`,
    values: [row.tenant, row.seq, row.root, row.at, row.kid, row.body],
  })
  await client.query({
    name: 'audit-head-cover',
    text: `UPDATE audit_head SET checkpoint_seq = $2, uncovered_since = CASE WHEN seq > $2 THEN clock_timestamp() END
      WHERE tenant = $1`,
    values: [row.tenant, row.seq],
  })
}

/** Tenants whose chain has had records beyond its last checkpoint for `waitMs`, longest first. */
export async function tenantsToCover(
  queryable: Queryable,
  bounds: { waitMs: number; limit: number },
): Promise<string[]> {
  const { rows } = await queryable.query<{ tenant: string }>({
    name: 'audit-tenants-to-cover',
    text: `SELECT tenant FROM audit_head
      WHERE uncovered_since <= clock_timestamp() - make_interval(secs => $1::double precision / 1000)
      ORDER BY uncovered_since LIMIT $2`,
    values: [bounds.waitMs, bounds.limit],
  })
  return rows.map((row) => row.tenant)
}

/** One page of a tenant's checkpoints, by the record they stand for. */
export async function readCheckpoints(
  queryable: Queryable,
  page: { tenant: string; afterSeq: number; limit: number },
): Promise<{ seq: number; body: string }[]> {
  const { rows } = await queryable.query<{ seq: bigint; body: string }>(
    'SELECT seq, body FROM audit_checkpoint WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3',
    [page.tenant, page.afterSeq, page.limit],
  )
  return rows.map(({ seq, body }) => ({ seq: Number(seq), body }))
}

/** Up to which record the tenant's chain has been signed for; 0 when it never was. */
export async function lastCheckpointSeq(queryable: Queryable, tenant: string): Promise<number> {
  const { rows } = await queryable.query<{ seq: bigint }>(
    'SELECT seq FROM audit_checkpoint WHERE tenant = $1 ORDER BY seq DESC LIMIT 1',
    [tenant],
  )
  return Number(rows[0]?.seq ?? 0n)
}
