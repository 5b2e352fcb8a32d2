// Evidence on its way into the chain: intents and outcomes that wait, the head of each tenant's chain, its records.
import type { AuditIntent, AuditOutcome } from '../schemas/audit.ts'
import type { Client, Queryable } from './pool.ts'

/** A decision and its end. */
export type Decided = {
  readonly id: string
  readonly tenant: string
  readonly intent: AuditIntent
  readonly outcome: AuditOutcome
}

/** A decision that has ended, in the transaction of what it concerns: intent and outcome in one write. */
export async function insertAudit(queryable: Queryable, decided: Decided): Promise<void> {
  await insertPending(queryable, decided.tenant, [decided])
}

const isUnknown = (row: string) => `coalesce(${row}.outcome->>'status', 'unknown') = 'unknown'`

/**
 * Evidence that waits in the table from now on, and is sealed from there. What waits already takes a known outcome where
 * it has none, and stays as it is otherwise.
 */
export async function insertPending(
  queryable: Queryable,
  tenant: string,
  rows: readonly { id: string; intent: object; outcome: object }[],
): Promise<void> {
  await queryable.query({
    name: 'audit-insert',
    text: `INSERT INTO audit_pending (id, tenant, intent, outcome)
      SELECT r.id, $1, r.intent, r.outcome FROM unnest($2::uuid[], $3::jsonb[], $4::jsonb[]) AS r (id, intent, outcome)
      ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome
        WHERE ${isUnknown('audit_pending')} AND NOT (${isUnknown('excluded')})`,
    values: [
      tenant,
      rows.map(({ id }) => id),
      rows.map(({ intent }) => JSON.stringify(intent)),
      rows.map(({ outcome }) => JSON.stringify(outcome)),
    ],
  })
}

/** Completes an intent. False when it no longer waits: it was sealed as unknown. */
export async function recordOutcome(queryable: Queryable, id: string, outcome: AuditOutcome): Promise<boolean> {
  const { rowCount } = await queryable.query({
    name: 'audit-outcome',
    text: `UPDATE audit_pending SET outcome = $2 WHERE id = $1 AND ${isUnknown('audit_pending')}`,
    values: [id, JSON.stringify(outcome)],
  })
  return rowCount === 1
}

const begunLongAgo = (parameter: string) =>
  `at < clock_timestamp() - make_interval(secs => ${parameter}::double precision / 1000)`

/** Tenants with something to seal: outcomes, or intents older than `unknownMs`. */
export async function tenantsToSeal(
  queryable: Queryable,
  bounds: { unknownMs: number; limit: number },
): Promise<string[]> {
  const { rows } = await queryable.query<{ tenant: string }>({
    name: 'audit-tenants-to-seal',
    text: `SELECT tenant FROM (
        SELECT tenant FROM audit_pending WHERE outcome IS NOT NULL
        UNION SELECT tenant FROM audit_pending WHERE outcome IS NULL AND ${begunLongAgo('$1')}) waiting
      LIMIT $2`,
    values: [bounds.unknownMs, bounds.limit],
  })
  return rows.map((row) => row.tenant)
}

export type Head = { readonly seq: number; readonly sha256: string }

/** What the first record of a chain names as its predecessor. */
const noPredecessor = '0'.repeat(64)

export type LockedHead = Head & {
  readonly checkpointSeq: number
  /** How long records have lain beyond the last checkpoint; null when none do. */
  readonly uncoveredMs: number | null
}

/** Locks the head of a tenant's chain until the transaction ends: one process at a time continues a chain. */
export async function lockHead(client: Client, tenant: string): Promise<LockedHead> {
  const head = await lockPresentHead(client, tenant)
  if (head) return head
  await client.query({
    name: 'audit-head-open',
    text: 'INSERT INTO audit_head (tenant, sha256) VALUES ($1, $2) ON CONFLICT DO NOTHING',
    values: [tenant, noPredecessor],
  })
  const opened = await lockPresentHead(client, tenant)
  return opened ?? { seq: 0, sha256: noPredecessor, checkpointSeq: 0, uncoveredMs: null }
}

async function lockPresentHead(client: Client, tenant: string): Promise<LockedHead | undefined> {
  const { rows } = await client.query<{ seq: bigint; sha256: string; covered: bigint; uncoveredMs: number | null }>({
    name: 'audit-head-lock',
    text: `SELECT seq, sha256, checkpoint_seq AS covered,
        (extract(epoch FROM clock_timestamp() - uncovered_since) * 1000)::double precision AS "uncoveredMs"
      FROM audit_head WHERE tenant = $1 FOR UPDATE`,
    values: [tenant],
  })
  const [row] = rows
  if (!row) return undefined
  const { sha256, uncoveredMs } = row
  return { seq: Number(row.seq), sha256, checkpointSeq: Number(row.covered), uncoveredMs }
}

/** Which of these are in a chain already, and whether as unknown. */
export async function findSealed(client: Client, ids: readonly string[]): Promise<ReadonlyMap<string, boolean>> {
  const { rows } = await client.query<{ id: string; unknown: boolean }>({
    name: 'audit-find-sealed',
    text: "SELECT id, body::jsonb->>'status' = 'unknown' AS unknown FROM audit_record WHERE id = ANY($1::uuid[])",
    values: [ids],
  })
  return new Map(rows.map(({ id, unknown }) => [id, unknown]))
}

export type PendingRow = {
  readonly id: string
  readonly intent: Readonly<Record<string, unknown>>
  readonly outcome: Readonly<Record<string, unknown>> | null
}

/**
 * Takes what is next of a tenant, oldest first; it is gone when the transaction commits. A row whose outcome is being
 * written right now is left for the next time, so that no outcome is overtaken by "unknown".
 */
export async function takePending(
  client: Client,
  order: { tenant: string; limit: number; unknownMs: number },
): Promise<PendingRow[]> {
  const { rows } = await client.query<PendingRow>({
    name: 'audit-take',
    text: `WITH next AS (
        SELECT id FROM audit_pending WHERE tenant = $1 AND (outcome IS NOT NULL OR ${begunLongAgo('$3')})
          ORDER BY ordinal LIMIT $2 FOR UPDATE SKIP LOCKED
      ), taken AS (
        DELETE FROM audit_pending p USING next n WHERE p.id = n.id RETURNING p.ordinal, p.id, p.intent, p.outcome
      ) SELECT id, intent, outcome FROM taken ORDER BY ordinal`,
    values: [order.tenant, order.limit, order.unknownMs],
  })
  return rows
}

export type RecordRow = {
  readonly seq: number
  readonly id: string
  readonly body: string
  readonly sha256: string
  readonly at: string
  readonly walletId: string | null
  readonly decision: string
}

/** Appends records and moves the head, in the transaction that holds its lock. */
export async function appendRecords(
  client: Client,
  chain: { tenant: string; records: readonly RecordRow[] },
): Promise<void> {
  const last = chain.records.at(-1)
  if (!last) return
  const column = (pick: (row: RecordRow) => unknown) => chain.records.map(pick)
  await client.query({
    name: 'audit-append',
    text: `INSERT INTO audit_record (tenant, seq, id, body, sha256, at, wallet_id, decision)
      SELECT $1, r.* FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[], $8::text[]) AS r`,
    values: [
      chain.tenant,
      column((row) => row.seq),
      column((row) => row.id),
      column((row) => row.body),
      column((row) => row.sha256),
      column((row) => row.at),
      column((row) => row.walletId),
      column((row) => row.decision),
    ],
  })
  await client.query({
    name: 'audit-head-move',
    text: `UPDATE audit_head SET seq = $2, sha256 = $3, uncovered_since = coalesce(uncovered_since, clock_timestamp())
      WHERE tenant = $1`,
    values: [chain.tenant, last.seq, last.sha256],
  })
}

/** One page of a tenant's chain in order. */
export async function readRecords(
  queryable: Queryable,
  page: { tenant: string; afterSeq: number; limit: number },
): Promise<{ seq: number; body: string }[]> {
  const { rows } = await queryable.query<{ seq: bigint; body: string }>(
    'SELECT seq, body FROM audit_record WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3',
    [page.tenant, page.afterSeq, page.limit],
  )
  return rows.map(({ seq, body }) => ({ seq: Number(seq), body }))
}

/** Where the chains end, by tenant, one page after `afterTenant`. A chain whose head is gone ends nowhere: null. */
export async function readHeads(
  queryable: Queryable,
  page: { afterTenant: string; limit: number },
): Promise<{ tenant: string; head: Head | null }[]> {
  const { rows } = await queryable.query<{ tenant: string; seq: bigint | null; sha256: string | null }>(
    `SELECT tenant, seq, sha256 FROM (SELECT tenant FROM audit_head UNION SELECT tenant FROM audit_record UNION SELECT tenant FROM audit_checkpoint) audited
       LEFT JOIN audit_head USING (tenant) WHERE tenant > $1 ORDER BY tenant LIMIT $2`,
    [page.afterTenant, page.limit],
  )
  return rows.map(({ tenant, seq, sha256 }) => ({
    tenant,
    head: seq === null || sha256 === null ? null : { seq: Number(seq), sha256 },
  }))
}
