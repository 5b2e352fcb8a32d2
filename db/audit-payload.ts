// Raw payloads of records, where an installation keeps them: sealed, apart from the chain, dropped when their class is over.
import type { RetentionClass } from '../domain/retention.ts'
import type { Client, Queryable } from './pool.ts'

export type PayloadRow = {
  /** Of the record. */
  readonly id: string
  readonly tenant: string
  readonly retention: RetentionClass
  readonly sealed: Buffer
  readonly at: Date
}

export async function insertPayload(queryable: Queryable, row: PayloadRow): Promise<void> {
  await queryable.query({
    name: 'audit-payload-insert',
    text: 'INSERT INTO audit_payload (id, tenant, retention, sealed, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING',
    values: [row.id, row.tenant, row.retention, row.sealed, row.at.toISOString()],
  })
}

export type StoredPayload = {
  readonly tenant: string
  readonly walletId: bigint | null
  readonly sealed: Buffer
  readonly body: string
}

/** A payload beside its record; undefined when either is not there. */
export async function readPayload(queryable: Queryable, id: string): Promise<StoredPayload | undefined> {
  const { rows } = await queryable.query<StoredPayload>(
    `SELECT r.tenant, r.wallet_id AS "walletId", p.sealed, r.body FROM audit_payload p JOIN audit_record r USING (id)
      WHERE id = $1`,
    [id],
  )
  return rows[0]
}

/** Drops payloads of a class that are older than its days, oldest first. Answers how many. */
export async function dropPayloads(
  client: Client | Queryable,
  order: { retention: RetentionClass; days: number; limit: number },
): Promise<number> {
  const { rowCount } = await client.query(
    `DELETE FROM audit_payload WHERE id IN (
        SELECT id FROM audit_payload WHERE retention = $1 AND at < clock_timestamp() - make_interval(days => $2)
        ORDER BY at LIMIT $3)`,
    [order.retention, order.days, order.limit],
  )
  return rowCount ?? 0
}
