// Agents of a wallet: the newest version of each, and those that turns still run by. Another wallet's do not exist.
import type { Client, Queryable } from './pool.ts'

export type CustomAgentRow = {
  readonly id: string
  readonly version: number
  readonly definition: unknown
  readonly createdAt: Date
  readonly updatedAt: Date
}

const columns = `a.id, v.version, v.definition, a.created_at AS "createdAt", a.updated_at AS "updatedAt"`
const joined = 'custom_agent a JOIN custom_agent_version v ON v.agent_id = a.id'

type Named = { readonly walletId: bigint; readonly id: string }

/** The newest version, or the one that is named. Undefined for what is deleted, forgotten or somebody else's. */
export async function readCustomAgent(
  queryable: Queryable,
  { walletId, id, version }: Named & { readonly version?: number | undefined },
): Promise<CustomAgentRow | undefined> {
  const { rows } = await queryable.query<CustomAgentRow>({
    name: 'custom-agent-read',
    text: `SELECT ${columns} FROM ${joined} AND v.version = coalesce($3::integer, a.version)
      WHERE a.wallet_id = $1 AND a.id = $2 AND a.deleted_at IS NULL`,
    values: [walletId, id, version ?? null],
  })
  return rows[0]
}

/** Agents in the order in which they were made, and how many there are. */
export async function listCustomAgents(
  queryable: Queryable,
  page: { walletId: bigint; limit: number; offset: number },
): Promise<{ rows: CustomAgentRow[]; total: number }> {
  const counted = await queryable.query<{ total: bigint }>(
    'SELECT count(*) AS total FROM custom_agent WHERE wallet_id = $1 AND deleted_at IS NULL',
    [page.walletId],
  )
  const { rows } = await queryable.query<CustomAgentRow>(
    `SELECT ${columns} FROM ${joined} AND v.version = a.version
     WHERE a.wallet_id = $1 AND a.deleted_at IS NULL ORDER BY a.ordinal LIMIT $2 OFFSET $3`,
    [page.walletId, page.limit, page.offset],
  )
  return { rows, total: Number(counted.rows[0]?.total ?? 0) }
}

/**
 * The id that an owner means: of the agent with this id, else of the one that was made with it; else the first of the
 * candidates that nobody has.
 */
export async function idOfAgent(
  queryable: Queryable,
  { walletId, id, candidates }: Named & { readonly candidates: readonly string[] },
): Promise<string | undefined> {
  const { rows } = await queryable.query<{ id: string }>(
    `(SELECT id FROM custom_agent WHERE wallet_id = $1 AND (id = $2 OR base_id = $2) ORDER BY id <> $2 LIMIT 1)
     UNION ALL
     (SELECT c.id FROM unnest($3::text[]) WITH ORDINALITY AS c (id, n)
        WHERE NOT EXISTS (SELECT 1 FROM custom_agent taken WHERE taken.id = c.id) ORDER BY n LIMIT 1)`,
    [walletId, id, candidates],
  )
  return rows[0]?.id
}

export type NewVersion = Named & {
  readonly baseId: string
  readonly definition: object
  /** Agents that the wallet may have. */
  readonly agentsMax: number
  /** Versions that are kept. */
  readonly versionsMax: number
}

/** Writes the next version; answers its number, or why there is none. A wallet's changes wait for each other. */
export async function writeVersion(client: Client, row: NewVersion): Promise<number | 'too-many' | 'taken'> {
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('agents:' || $1::text, 0))", [row.walletId])
  const others = await client.query<{ count: bigint }>(
    'SELECT count(*) FROM custom_agent WHERE wallet_id = $1 AND id <> $2 AND deleted_at IS NULL',
    [row.walletId, row.id],
  )
  if (Number(others.rows[0]?.count ?? 0) >= row.agentsMax) return 'too-many'
  const { rows } = await client.query<{ version: number }>(
    `INSERT INTO custom_agent (id, wallet_id, base_id, version) VALUES ($1, $2, $3, 1)
     ON CONFLICT (id) DO UPDATE SET version = custom_agent.version + 1, updated_at = clock_timestamp(), deleted_at = NULL
       WHERE custom_agent.wallet_id = $2 RETURNING version`,
    [row.id, row.walletId, row.baseId],
  )
  const version = rows[0]?.version
  if (version === undefined) return 'taken'
  await client.query('INSERT INTO custom_agent_version (agent_id, version, definition) VALUES ($1, $2, $3)', [
    row.id,
    version,
    JSON.stringify(row.definition),
  ])
  await client.query('DELETE FROM custom_agent_version WHERE agent_id = $1 AND version <= $2', [
    row.id,
    version - row.versionsMax,
  ])
  return version
}

/** Forgets what an agent was; its id stays its owner's, because bills and evidence name it. False when there is none. */
export async function deleteCustomAgent(client: Client, { walletId, id }: Named): Promise<boolean> {
  const { rowCount } = await client.query(
    'UPDATE custom_agent SET deleted_at = clock_timestamp() WHERE wallet_id = $1 AND id = $2 AND deleted_at IS NULL',
    [walletId, id],
  )
  if (rowCount !== 1) return false
  await client.query('DELETE FROM custom_agent_version WHERE agent_id = $1', [id])
  return true
}
