// Policies in the table: the active set with its epoch, read in one statement, and the changes of it. Texts are append-only;
// every change is a new epoch, told on a channel in its own transaction.
import type { Client, Queryable } from './pool.ts'

export const policyChannel = 'policy'

export type PolicySourceKind = 'file' | 'api'

export type PolicyRow = {
  readonly policyId: string
  readonly version: number
  readonly source: PolicySourceKind
  /** What it is called in faults; of a file, its path. */
  readonly name: string
  readonly text: string
  /** Hex, of the text. */
  readonly sha256: string
}

export type ActivePolicies = { readonly epoch: number; readonly policies: readonly PolicyRow[] }

export type TimeBound = { readonly timeoutMs: number }

// The driver gives up after this time even when the server never answers; its type does not list the option.
const bound = (options: TimeBound | undefined): object => (options ? { query_timeout: options.timeoutMs } : {})

/** The epoch of now. */
export async function readPolicyEpoch(queryable: Queryable, options: TimeBound): Promise<number> {
  const { rows } = await queryable.query<{ epoch: bigint }>({
    text: 'SELECT epoch FROM policy_head',
    ...bound(options),
  })
  return Number(rows[0]?.epoch ?? 0)
}

/** Epoch and texts as they stood at one moment. */
export async function readActivePolicies(queryable: Queryable, options?: TimeBound): Promise<ActivePolicies> {
  const { rows } = await queryable.query<{ epoch: bigint } & { [K in keyof PolicyRow]: PolicyRow[K] | null }>({
    text: `SELECT h.epoch, v.policy_id AS "policyId", v.version, v.source, v.name, v.text, v.sha256
      FROM policy_head h LEFT JOIN (policy_active a JOIN policy_version v USING (policy_id, version)) ON true
      ORDER BY v.policy_id`,
    ...bound(options),
  })
  const policies = rows.flatMap(({ epoch: _epoch, ...row }) => (row.policyId === null ? [] : [row as PolicyRow]))
  return { epoch: Number(rows[0]?.epoch ?? 0), policies }
}

/** Holds every other change off until the transaction ends. */
export async function lockPolicies(client: Client): Promise<void> {
  await client.query('SELECT policy_lock()')
}

export type NewPolicy = Omit<PolicyRow, 'version'> & {
  /** Number that its author gave it; a later one than the last is taken. */
  readonly declared: number
  readonly by: string
}

/** Adds a version that is not yet active; answers its number. */
export async function addPolicyVersion(client: Client, policy: NewPolicy): Promise<number> {
  const { policyId, source, name, text, sha256, declared, by } = policy
  const { rows } = await client.query<{ version: number }>('SELECT policy_add($1, $2, $3, $4, $5, $6, $7) AS version', [
    policyId,
    source,
    name,
    text,
    sha256,
    declared,
    by,
  ])
  return rows[0]?.version ?? 0
}

export type PolicyChange = {
  readonly policyId: string
  /** Null: none of the id is active any more. */
  readonly version: number | null
}

/** Changes the active set at once; answers the new epoch. */
export async function activatePolicies(client: Client, changes: readonly PolicyChange[], by: string): Promise<number> {
  const { rows } = await client.query<{ epoch: bigint }>('SELECT policy_activate($1, $2, $3) AS epoch', [
    changes.map(({ policyId }) => policyId),
    changes.map(({ version }) => version),
    by,
  ])
  return Number(rows[0]?.epoch ?? 0)
}

export type VersionRow = Omit<PolicyRow, 'text'> & {
  readonly active: boolean
  readonly createdBy: string
  readonly createdAt: Date
  /** When another version, or none, took its place; null while it is active or when it never was. */
  readonly retiredAt: Date | null
}

const versionSelect = `SELECT v.policy_id AS "policyId", v.version, v.source, v.name, v.sha256, a.version IS NOT NULL AS active,
    v.created_by AS "createdBy", v.created_at AS "createdAt", (
      SELECT n.at FROM policy_change n WHERE a.version IS NULL AND n.policy_id = v.policy_id
        AND n.epoch > (SELECT max(c.epoch) FROM policy_change c WHERE c.policy_id = v.policy_id AND c.version = v.version)
      ORDER BY n.epoch LIMIT 1) AS "retiredAt"
  FROM policy_version v LEFT JOIN policy_active a USING (policy_id, version)`

/** Versions of an id, latest first, below `before`. */
export async function listPolicyVersions(
  queryable: Queryable,
  page: { readonly policyId: string; readonly before: number; readonly limit: number },
): Promise<VersionRow[]> {
  const { rows } = await queryable.query<VersionRow>(
    `${versionSelect} WHERE v.policy_id = $1 AND v.version < $2 ORDER BY v.version DESC LIMIT $3`,
    [page.policyId, page.before, page.limit],
  )
  return rows
}

/** One version with its text. */
export async function readPolicyVersion(
  queryable: Queryable,
  { policyId, version }: { readonly policyId: string; readonly version: number },
): Promise<PolicyRow | undefined> {
  const { rows } = await queryable.query<PolicyRow>(
    `SELECT policy_id AS "policyId", version, source, name, text, sha256 FROM policy_version
     WHERE policy_id = $1 AND version = $2`,
    [policyId, version],
  )
  return rows[0]
}
