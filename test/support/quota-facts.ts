// Counters as a suite sets them, as the owner of the database.
import { unitParts } from '../../domain/quota.ts'
import type { LedgerFacts } from './ledger-facts.ts'

/** So many units of a counter are used now. They drain as ever, at the rate of the limit that is asked. */
export async function useUp(ledger: LedgerFacts, key: string, units: number): Promise<void> {
  await ledger.query(
    `INSERT INTO quota_counter (key, used, at_ms, drained_ms) VALUES ($1, $2, quota_now(), quota_now() + 86400000)
     ON CONFLICT (key) DO UPDATE SET used = EXCLUDED.used, at_ms = EXCLUDED.at_ms, drained_ms = EXCLUDED.drained_ms`,
    [key, Math.round(units * unitParts)],
  )
}
