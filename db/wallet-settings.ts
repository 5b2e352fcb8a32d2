// What a wallet's owner has set: one JSON object per wallet, merged key by key.
import type { Queryable } from './pool.ts'

type Settings = Readonly<Record<string, unknown>>

/** Keys that were set; the others have no value here. */
export async function readSettings(queryable: Queryable, walletId: bigint): Promise<Settings> {
  const { rows } = await queryable.query<{ settings: Settings }>(
    'SELECT settings FROM wallet_setting WHERE wallet_id = $1',
    [walletId],
  )
  return rows[0]?.settings ?? {}
}

/** Sets the given keys and leaves the others; null unsets one. Answers what is set then. */
export async function mergeSettings(queryable: Queryable, walletId: bigint, change: Settings): Promise<Settings> {
  const { rows } = await queryable.query<{ settings: Settings }>(
    `INSERT INTO wallet_setting AS w (wallet_id, settings) VALUES ($1, jsonb_strip_nulls($2))
     ON CONFLICT (wallet_id) DO UPDATE SET settings = jsonb_strip_nulls(w.settings || $2::jsonb), updated_at = clock_timestamp()
     RETURNING settings`,
    [walletId, JSON.stringify(change)],
  )
  return rows[0]?.settings ?? {}
}
