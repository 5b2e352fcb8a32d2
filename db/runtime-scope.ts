// Runtime scopes of a wallet: a name for a part of its spending, with a status, tool servers and a budget of its own.
// Holds obey status and budget in SQL; the budget is the scope's row of `budget` with the period `total`.
import type { Client, Queryable } from './pool.ts'

export type ScopeStatus = 'active' | 'paused' | 'archived'

export type ScopeRow = {
  readonly id: string
  readonly name: string
  readonly externalRef: string | null
  readonly status: ScopeStatus
  readonly metadata: Readonly<Record<string, unknown>>
  readonly serverIds: readonly string[]
  /** Null when nothing but the wallet limits it. */
  readonly budgetMicros: bigint | null
  readonly spentMicros: bigint
}

const scopeSelect = `SELECT s.id, s.name, s.external_ref AS "externalRef", s.status, s.metadata, s.server_ids AS "serverIds",
    b.limit_micros AS "budgetMicros", runtime_scope_spent(s.wallet_id, s.id) AS "spentMicros"
  FROM runtime_scope s LEFT JOIN budget b
    ON b.wallet_id = s.wallet_id AND b.kind = 'scope' AND b.subject = s.id::text AND b.period = 'total'`

/** A scope of the wallet; another wallet's does not exist. */
export async function readScope(
  queryable: Queryable,
  { walletId, id }: { walletId: bigint; id: string },
): Promise<ScopeRow | undefined> {
  const { rows } = await queryable.query<ScopeRow>(`${scopeSelect} WHERE s.wallet_id = $1 AND s.id = $2`, [
    walletId,
    id,
  ])
  return rows[0]
}

/** What a step of a turn must know of its scope; undefined when there is none of this wallet. */
export async function readScopeLimits(
  queryable: Queryable,
  { walletId, id }: { walletId: bigint; id: string },
): Promise<Pick<ScopeRow, 'status' | 'serverIds'> | undefined> {
  const { rows } = await queryable.query<Pick<ScopeRow, 'status' | 'serverIds'>>({
    name: 'scope-limits',
    text: 'SELECT status, server_ids AS "serverIds" FROM runtime_scope WHERE wallet_id = $1 AND id = $2',
    values: [walletId, id],
  })
  return rows[0]
}

/** Scopes in the order in which they were made, and how many there are. */
export async function listScopes(
  queryable: Queryable,
  order: { walletId: bigint; limit: number; offset: number },
): Promise<{ rows: ScopeRow[]; total: number }> {
  const counted = await queryable.query<{ total: bigint }>(
    'SELECT count(*) AS total FROM runtime_scope WHERE wallet_id = $1',
    [order.walletId],
  )
  const { rows } = await queryable.query<ScopeRow>(
    `${scopeSelect} WHERE s.wallet_id = $1 ORDER BY s.ordinal LIMIT $2 OFFSET $3`,
    [order.walletId, order.limit, order.offset],
  )
  return { rows, total: Number(counted.rows[0]?.total ?? 0) }
}

export type NewScope = Pick<ScopeRow, 'id' | 'name' | 'externalRef' | 'metadata' | 'serverIds'> & {
  readonly walletId: bigint
}

/** Makes a scope unless the wallet has `scopesMax` that are not archived; false then. */
export async function insertScope(client: Client, row: NewScope, scopesMax: number): Promise<boolean> {
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('scopes:' || $1::text, 0))", [row.walletId])
  const { rowCount } = await client.query(
    `INSERT INTO runtime_scope (id, wallet_id, name, external_ref, metadata, server_ids) SELECT $1, $2, $3, $4, $5, $6
     WHERE (SELECT count(*) FROM runtime_scope WHERE wallet_id = $2 AND status <> 'archived') < $7`,
    [row.id, row.walletId, row.name, row.externalRef, JSON.stringify(row.metadata), row.serverIds, scopesMax],
  )
  return rowCount === 1
}

/** Locks a scope for a change; answers its status. */
export async function lockScope(
  client: Client,
  { walletId, id }: { walletId: bigint; id: string },
): Promise<ScopeStatus | undefined> {
  const { rows } = await client.query<{ status: ScopeStatus }>(
    'SELECT status FROM runtime_scope WHERE wallet_id = $1 AND id = $2 FOR NO KEY UPDATE',
    [walletId, id],
  )
  return rows[0]?.status
}

export type ScopeChange = {
  readonly [K in 'name' | 'externalRef' | 'status' | 'metadata' | 'serverIds']?: ScopeRow[K] | undefined
}

/** Changes what is given of a scope that the caller holds locked. */
export async function updateScope(client: Client, id: string, change: ScopeChange): Promise<void> {
  await client.query(
    `UPDATE runtime_scope SET name = coalesce($2, name), external_ref = CASE WHEN $3 THEN $4 ELSE external_ref END,
       status = coalesce($5, status), metadata = coalesce($6::jsonb, metadata), server_ids = coalesce($7::text[], server_ids),
       updated_at = clock_timestamp() WHERE id = $1`,
    [
      id,
      change.name ?? null,
      change.externalRef !== undefined,
      change.externalRef ?? null,
      change.status ?? null,
      change.metadata === undefined ? null : JSON.stringify(change.metadata),
      change.serverIds ?? null,
    ],
  )
}

/** Adds a server to a scope that the caller holds locked, or takes it away; twice is once. */
export async function toggleScopeServer(
  client: Client,
  { id, serverId, enabled }: { id: string; serverId: string; enabled: boolean },
): Promise<void> {
  await client.query(
    `UPDATE runtime_scope SET updated_at = clock_timestamp(),
       server_ids = CASE WHEN $3 THEN array_append(array_remove(server_ids, $2), $2) ELSE array_remove(server_ids, $2) END
     WHERE id = $1`,
    [id, serverId, enabled],
  )
}
