// Rows of the installation's signing keys. Private parts are sealed before they come here.
import type { Client, Queryable } from './pool.ts'

export type KeyPurpose = 'access-token' | 'audit'

export type SigningKeyRow = {
  readonly kid: string
  readonly purpose: KeyPurpose
  readonly algorithm: string
  readonly publicJwk: Record<string, unknown>
  readonly sealed: Buffer
  readonly state: 'active' | 'retired'
}

const columns = 'kid, purpose, algorithm, public_jwk AS "publicJwk", sealed, state'

export async function listSigningKeys(queryable: Queryable): Promise<SigningKeyRow[]> {
  return (await queryable.query<SigningKeyRow>(`SELECT ${columns} FROM signing_key ORDER BY created_at, kid`)).rows
}

/** Serialises key creation over all processes until the transaction ends. */
export async function lockSigningKeys(client: Client): Promise<void> {
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('signing-keys', 0))")
}

/** Makes `row` the active key of its purpose; the one before stays listed as retired. */
export async function activateSigningKey(client: Client, row: Omit<SigningKeyRow, 'state'>): Promise<void> {
  await client.query("UPDATE signing_key SET state = 'retired' WHERE purpose = $1 AND state = 'active'", [row.purpose])
  await client.query(
    "INSERT INTO signing_key (kid, purpose, algorithm, public_jwk, sealed, state) VALUES ($1, $2, $3, $4, $5, 'active')",
    [row.kid, row.purpose, row.algorithm, JSON.stringify(row.publicJwk), row.sealed],
  )
}
