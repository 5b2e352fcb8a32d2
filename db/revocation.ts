// Revocation epochs: bumping them, and the reads that keep each process's copy. The bump and its notification are one
// transaction; its seq orders it against every attempt of a governed effect.
import type { Queryable } from './pool.ts'

export const revocationChannel = 'revocation'

export type RevokedScope = { readonly scope: string; readonly epoch: number }

export type RevocationOrder = {
  /** Names such as `session:ab12` (`scopeName`); duplicates count once. */
  readonly scopes: readonly string[]
  readonly reason: string
  /** Who revoked, for the record: a subject id. */
  readonly by: string
}

/** Revokes the scopes at once and answers the seq of the revocation: no attempt with a greater seq passes them. */
export async function revokeScopes(queryable: Queryable, order: RevocationOrder): Promise<bigint> {
  const scopes = [...new Set(order.scopes)].toSorted()
  const { rows } = await queryable.query<{ seq: bigint }>('SELECT revoke_scopes($1, $2, $3) AS seq', [
    scopes,
    order.reason,
    order.by,
  ])
  return rows[0]?.seq ?? 0n
}

type Row = { scope: string; epoch: bigint }
const toScope = ({ scope, epoch }: Row): RevokedScope => ({ scope, epoch: Number(epoch) })

export type ReadOptions = { readonly timeoutMs: number }

/** One page of all revoked scopes in the order of their names, after `afterScope` (`''` from the start). */
export async function revokedScopes(
  queryable: Queryable,
  page: { readonly afterScope: string; readonly limit: number } & ReadOptions,
): Promise<RevokedScope[]> {
  const { rows } = await queryable.query<Row>({
    text: 'SELECT scope, epoch FROM revocation_epoch WHERE scope > $1 ORDER BY scope LIMIT $2',
    values: [page.afterScope, page.limit],
    ...timeout(page),
  })
  return rows.map(toScope)
}

/** Scopes revoked in the last seconds, by the database's clock. */
export async function recentlyRevokedScopes(
  queryable: Queryable,
  window: { readonly seconds: number } & ReadOptions,
): Promise<RevokedScope[]> {
  const { rows } = await queryable.query<Row>({
    text: 'SELECT scope, epoch FROM revocation_epoch WHERE at > clock_timestamp() - make_interval(secs => $1)',
    values: [window.seconds],
    ...timeout(window),
  })
  return rows.map(toScope)
}

// The driver gives up after this time even when the server never answers; its type does not list the option.
function timeout({ timeoutMs }: ReadOptions): object {
  return { query_timeout: timeoutMs }
}
