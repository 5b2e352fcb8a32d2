// Counters of rates and quotas in Postgres, shared by all replicas: one call for all meters of a request.
import type { Adjustment, QuotaAnswer, Take } from '../domain/quota.ts'
import type { Pool } from './pool.ts'

const purgeRows = 1_000

/** `now`: ms since 1970, for tests; absent, the clock of the database. A pool of its own: doors take inside transactions. */
export function createPostgresQuota(pool: Pool, now: () => number | null = () => null) {
  return {
    async take(takes: readonly Take[]): Promise<QuotaAnswer> {
      const { rows } = await pool.query<{ answer: QuotaAnswer }>({
        name: 'quota-take',
        text: 'SELECT quota_take($1, $2) AS answer',
        values: [JSON.stringify(takes), now()],
      })
      const [row] = rows
      if (row === undefined) throw new Error('The counters answered nothing.')
      return row.answer
    },
    async adjust(changes: readonly Adjustment[]): Promise<void> {
      await pool.query({
        name: 'quota-adjust',
        text: 'SELECT quota_adjust($1, $2)',
        values: [JSON.stringify(changes), now()],
      })
    },
    async purge(): Promise<number> {
      const { rows } = await pool.query<{ gone: number }>('SELECT quota_purge($1, $2) AS gone', [purgeRows, now()])
      return rows[0]?.gone ?? 0
    },
  }
}
