// Challenges, wallets, session nodes, tokens and things that may be used once.
import type { Queryable } from './pool.ts'

export async function insertChallenge(
  queryable: Queryable,
  row: { nonce: string; address: string | undefined; message: string; expiresAt: Date },
): Promise<void> {
  await queryable.query('INSERT INTO challenge (nonce, address, message, expires_at) VALUES ($1, $2, $3, $4)', [
    row.nonce,
    row.address ?? null,
    row.message,
    row.expiresAt,
  ])
}

export type ChallengeRow = {
  readonly message: string
  readonly address: string | null
  readonly expired: boolean
  readonly spent: boolean
}

/** Reads a challenge; `spent` when it was used or burnt. */
export async function readChallenge(
  queryable: Queryable,
  { nonce, wrongTriesMax, now }: { nonce: string; wrongTriesMax: number; now: Date },
): Promise<ChallengeRow | undefined> {
  const { rows } = await queryable.query<ChallengeRow>(
    `SELECT message, address, expires_at <= $3 AS expired, consumed_at IS NOT NULL OR wrong_tries >= $2 AS spent
     FROM challenge WHERE nonce = $1`,
    [nonce, wrongTriesMax, now],
  )
  return rows[0]
}

/** Uses a challenge once: false when somebody else was faster, or it expired or burnt meanwhile. */
export async function consumeChallenge(
  queryable: Queryable,
  { nonce, wrongTriesMax, now }: { nonce: string; wrongTriesMax: number; now: Date },
): Promise<boolean> {
  const { rowCount } = await queryable.query(
    'UPDATE challenge SET consumed_at = $3 WHERE nonce = $1 AND consumed_at IS NULL AND wrong_tries < $2 AND expires_at > $3',
    [nonce, wrongTriesMax, now],
  )
  return rowCount === 1
}

export async function countWrongTry(queryable: Queryable, nonce: string): Promise<void> {
  await queryable.query('UPDATE challenge SET wrong_tries = wrong_tries + 1 WHERE nonce = $1', [nonce])
}

/** Forgets what expired more than an hour ago. */
export async function sweepIdentity(queryable: Queryable, now: Date): Promise<void> {
  const before = new Date(now.getTime() - 3_600_000)
  for (const table of ['challenge', 'one_time', 'access_token']) {
    await queryable.query(`DELETE FROM ${table} WHERE expires_at < $1`, [before])
  }
}

/** Opens a wallet with its accounts, or finds it. */
export async function openWallet(queryable: Queryable, address: string): Promise<bigint> {
  const { rows } = await queryable.query<{ id: bigint }>('SELECT wallet_open($1) AS id', [address])
  if (!rows[0]) throw new Error('wallet_open answers an id.')
  return rows[0].id
}

export type NodeRow = {
  readonly id: string
  readonly kind: 'usid' | 'wsid' | 'asid' | 'msid'
  readonly parentId: string | null
  readonly tenant: string
  readonly walletId: bigint
  readonly subject: string
  readonly expiresAt: Date | null
}

/** Inserts a node of the session tree; the same id again changes nothing. */
export async function insertNode(queryable: Queryable, row: NodeRow): Promise<void> {
  await queryable.query(
    `INSERT INTO session_node (id, kind, parent_id, tenant, wallet_id, subject, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
    [row.id, row.kind, row.parentId, row.tenant, row.walletId, row.subject, row.expiresAt],
  )
}

export async function insertAccessToken(
  queryable: Queryable,
  row: { jti: string; sid: string; walletId: bigint; issuedAt: Date; expiresAt: Date },
): Promise<void> {
  await queryable.query(
    'INSERT INTO access_token (jti, sid, wallet_id, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5)',
    [row.jti, row.sid, row.walletId, row.issuedAt, row.expiresAt],
  )
}

/** Stores something that may be used once. `id` is a digest of what the bearer holds. */
export async function insertOneTime(
  queryable: Queryable,
  row: { kind: string; id: string; payload: Readonly<Record<string, unknown>>; expiresAt: Date },
): Promise<void> {
  await queryable.query('INSERT INTO one_time (kind, id, payload, expires_at) VALUES ($1, $2, $3, $4)', [
    row.kind,
    row.id,
    JSON.stringify(row.payload),
    row.expiresAt,
  ])
}

/** Uses it, or answers undefined. One statement: check and use cannot be separated. */
export async function consumeOneTime(
  queryable: Queryable,
  { kind, id, now }: { kind: string; id: string; now: Date },
): Promise<Record<string, unknown> | undefined> {
  const { rows } = await queryable.query<{ payload: Record<string, unknown> }>(
    'UPDATE one_time SET consumed_at = $3 WHERE kind = $1 AND id = $2 AND consumed_at IS NULL AND expires_at > $3 RETURNING payload',
    [kind, id, now],
  )
  return rows[0]?.payload
}

/** Takes one token of a bucket: 0, or the milliseconds until one is there. */
export async function takeRate(
  queryable: Queryable,
  bucket: { key: string; perMinute: number; burst: number },
): Promise<number> {
  const { rows } = await queryable.query<{ wait: number }>({
    name: 'rate_take',
    text: 'SELECT rate_take($1, $2, $3) AS wait',
    values: [bucket.key, bucket.perMinute / 60, bucket.burst],
  })
  return rows[0]?.wait ?? 0
}

/** Epoch of a scope as the database has it now; 0 when never revoked. */
export async function readEpoch(queryable: Queryable, scope: string): Promise<number> {
  const { rows } = await queryable.query<{ epoch: bigint }>('SELECT epoch FROM revocation_epoch WHERE scope = $1', [
    scope,
  ])
  return Number(rows[0]?.epoch ?? 0)
}

/** Whether the token is the wallet's: session tokens have rows, a wallet token the session node of its first use. */
export async function ownsToken(queryable: Queryable, tokenId: string, walletId: bigint): Promise<boolean> {
  const { rowCount } = await queryable.query(
    `SELECT 1 FROM access_token WHERE jti = $1 AND wallet_id = $2
     UNION ALL SELECT 1 FROM session_node WHERE id = left($1, 32) AND wallet_id = $2`,
    [tokenId, walletId],
  )
  return (rowCount ?? 0) > 0
}
