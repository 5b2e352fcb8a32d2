// Reading the chain by filters and by days. Newest first by `ordinal`, the order of sealing over all tenants.
import type { Queryable } from './pool.ts'
import type { Head } from './audit.ts'

export type RecordFilter = {
  /** Absent: the chains of all tenants. */
  readonly tenant?: string | undefined
  readonly walletId?: bigint | undefined
  /** Lower-case address; a wallet that was never seen matches nothing. */
  readonly wallet?: string | undefined
  readonly agent?: string | undefined
  readonly server?: string | undefined
  readonly tool?: string | undefined
  readonly decision?: 'allow' | 'deny' | 'require' | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
}

export type ViewRow = { readonly ordinal: bigint; readonly tenant: string; readonly seq: bigint; readonly body: string }

/** At most `limit` records before `beforeOrdinal`, newest first. */
export async function findRecords(
  queryable: Queryable,
  filter: RecordFilter,
  page: { beforeOrdinal: bigint | null; limit: number },
): Promise<ViewRow[]> {
  const values: unknown[] = []
  const parameter = (value: unknown) => `$${values.push(value)}`
  const conditions = conditionsOf(filter, parameter)
  if (page.beforeOrdinal !== null) conditions.push(`ordinal < ${parameter(page.beforeOrdinal)}`)
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
  const { rows } = await queryable.query<ViewRow>(
    `SELECT ordinal, tenant, seq, body FROM audit_record ${where} ORDER BY ordinal DESC LIMIT ${parameter(page.limit)}`,
    values,
  )
  return rows
}

function conditionsOf(filter: RecordFilter, parameter: (value: unknown) => string): string[] {
  const columns = [
    ['tenant =', filter.tenant],
    ['wallet_id =', filter.walletId],
    ['agent =', filter.agent],
    ['server =', filter.server],
    ['tool =', filter.tool],
    ['at >=', filter.since],
    ['at <', filter.until],
  ] as const
  const conditions = columns.flatMap(([test, value]) => (value === undefined ? [] : [`${test} ${parameter(value)}`]))
  if (filter.wallet !== undefined)
    conditions.push(`wallet_id = (SELECT id FROM wallet WHERE address = ${parameter(filter.wallet)})`)
  // One of three words, written out: the index of what was not allowed is partial.
  if (filter.decision !== undefined) conditions.push(`decision = '${filter.decision}'`)
  return conditions
}

/** Where a tenant's chain ends; null when it has none. */
export async function readHead(queryable: Queryable, tenant: string): Promise<Head | null> {
  const { rows } = await queryable.query<{ seq: bigint; sha256: string }>(
    'SELECT seq, sha256 FROM audit_head WHERE tenant = $1',
    [tenant],
  )
  const [row] = rows
  return row ? { seq: Number(row.seq), sha256: row.sha256 } : null
}

/**
 * The number of the first record that was sealed at `from` or later; null when none was. Days cut a chain at these
 * places, so that the files of all days are the whole chain, each record once. A clock that was set back by less than
 * ten minutes moves no record over a place.
 */
export async function firstSealedFrom(queryable: Queryable, tenant: string, from: Date): Promise<number | null> {
  const { rows } = await queryable.query<{ seq: bigint | null }>(
    `SELECT min(seq) AS seq FROM audit_record, (
        SELECT sealed_at AS first FROM audit_record WHERE tenant = $1 AND sealed_at >= $2 ORDER BY sealed_at LIMIT 1) f
      WHERE tenant = $1 AND sealed_at >= $2 AND sealed_at < first + interval '10 minutes'`,
    [tenant, from.toISOString()],
  )
  const seq = rows[0]?.seq ?? null
  return seq === null ? null : Number(seq)
}
