// Evidence on its way into the chain: pending intents and outcomes, the head of each tenant's chain, its records.
import type { Client, Queryable } from './pool.ts'

type Json = Readonly<Record<string, unknown>>

/** A decision that needs no effect, or a read: intent and outcome in one write. */
export async function insertAudit(
  queryable: Queryable,
  row: { id: string; tenant: string; intent: Json; outcome: Json },
): Promise<void> {
  await queryable.query('INSERT INTO audit_pending (id, tenant, intent, outcome) VALUES ($1, $2, $3, $4)', [
    row.id,
    row.tenant,
    JSON.stringify(row.intent),
    JSON.stringify(row.outcome),
  ])
}

export async function recordOutcome(queryable: Queryable, id: string, outcome: Json): Promise<void> {
  await queryable.query('UPDATE audit_pending SET outcome = $2 WHERE id = $1', [id, JSON.stringify(outcome)])
}

/** Tenants with something to seal; an intent without outcome counts after `unknownMs`. */
export async function tenantsToSeal(queryable: Queryable, unknownMs: number): Promise<string[]> {
  const { rows } = await queryable.query<{ tenant: string }>(
    `SELECT DISTINCT tenant FROM audit_pending
     WHERE outcome IS NOT NULL OR at < clock_timestamp() - make_interval(secs => $1::double precision / 1000)`,
    [unknownMs],
  )
  return rows.map((row) => row.tenant)
}

export type Head = { readonly seq: bigint; readonly sha256: string }

/** Locks the head of a tenant's chain until the transaction ends. */
export async function lockHead(client: Client, tenant: string): Promise<Head> {
  await client.query(`INSERT INTO audit_head (tenant, sha256) VALUES ($1, repeat('0', 64)) ON CONFLICT DO NOTHING`, [
    tenant,
  ])
  const { rows } = await client.query<Head>('SELECT seq, sha256 FROM audit_head WHERE tenant = $1 FOR UPDATE', [tenant])
  if (!rows[0]) throw new Error('A locked head exists.')
  return rows[0]
}

export type PendingRow = {
  readonly id: string
  readonly intent: Json
  readonly outcome: Json | null
  readonly at: Date
}

/** The next records of a tenant, oldest first. */
export async function takePending(
  client: Client,
  order: { tenant: string; limit: number; unknownMs: number },
): Promise<PendingRow[]> {
  const { rows } = await client.query<PendingRow>(
    `SELECT id, intent, outcome, at FROM audit_pending WHERE tenant = $1
     AND (outcome IS NOT NULL OR at < clock_timestamp() - make_interval(secs => $3::double precision / 1000))
     ORDER BY ordinal LIMIT $2`,
    [order.tenant, order.limit, order.unknownMs],
  )
  return rows
}

export type RecordRow = {
  readonly seq: bigint
  readonly id: string
  readonly body: string
  readonly sha256: string
  readonly at: Date
  readonly decision: string
}

/** Appends records, clears their pending rows and moves the head: one transaction of the caller. */
export async function appendRecords(
  client: Client,
  chain: { tenant: string; records: readonly RecordRow[] },
): Promise<void> {
  const last = chain.records.at(-1)
  if (!last) return
  await client.query(
    `INSERT INTO audit_record (tenant, seq, id, body, sha256, at, decision)
     SELECT $1, r.seq, r.id, r.body, r.sha256, r.at, r.decision
     FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::text[]) AS r(seq, id, body, sha256, at, decision)`,
    [
      chain.tenant,
      chain.records.map((record) => record.seq),
      chain.records.map((record) => record.id),
      chain.records.map((record) => record.body),
      chain.records.map((record) => record.sha256),
      chain.records.map((record) => record.at),
      chain.records.map((record) => record.decision),
    ],
  )
  await client.query('DELETE FROM audit_pending WHERE id = ANY($1::uuid[])', [chain.records.map((record) => record.id)])
  await client.query('UPDATE audit_head SET seq = $2, sha256 = $3 WHERE tenant = $1', [
    chain.tenant,
    last.seq,
    last.sha256,
  ])
}

/** Pages of a tenant's chain in order, for verification. */
export async function readRecords(
  queryable: Queryable,
  page: { tenant: string; afterSeq: bigint; limit: number },
): Promise<{ seq: bigint; body: string }[]> {
  const { rows } = await queryable.query<{ seq: bigint; body: string }>(
    'SELECT seq, body FROM audit_record WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3',
    [page.tenant, page.afterSeq, page.limit],
  )
  return rows
}

export async function readHeads(queryable: Queryable): Promise<(Head & { tenant: string })[]> {
  return (
    await queryable.query<Head & { tenant: string }>('SELECT tenant, seq, sha256 FROM audit_head ORDER BY tenant')
  ).rows
}
