// Challenges, wallets, session nodes, tokens and things that may be used once. Checks and uses are one statement each.
import type { Queryable } from './pool.ts'

export type ChallengeRow = {
  readonly message: string
  readonly address: string | null
  /** Digest of the cookie of the browser that asked, if one did. */
  readonly binding: string | null
}

export async function insertChallenge(
  queryable: Queryable,
  row: ChallengeRow & { readonly nonce: string; readonly expiresAt: Date },
): Promise<void> {
  await queryable.query(
    'INSERT INTO challenge (nonce, address, message, binding, expires_at) VALUES ($1, $2, $3, $4, $5)',
    [row.nonce, row.address, row.message, row.binding, row.expiresAt],
  )
}

/** Takes one try at a challenge before anything is compared; undefined when it is unknown, used, burnt or too old. */
export async function tryChallenge(
  queryable: Queryable,
  { nonce, triesMax, now }: { nonce: string; triesMax: number; now: Date },
): Promise<ChallengeRow | undefined> {
  const { rows } = await queryable.query<ChallengeRow>(
    `UPDATE challenge SET tries = tries + 1
     WHERE nonce = $1 AND consumed_at IS NULL AND tries < $2 AND expires_at > $3
     RETURNING message, address, binding`,
    [nonce, triesMax, now],
  )
  return rows[0]
}

/** Uses a challenge once: false when somebody else was faster. */
export async function consumeChallenge(
  queryable: Queryable,
  { nonce, now }: { nonce: string; now: Date },
): Promise<boolean> {
  const { rowCount } = await queryable.query(
    'UPDATE challenge SET consumed_at = $2 WHERE nonce = $1 AND consumed_at IS NULL AND expires_at > $2',
    [nonce, now],
  )
  return rowCount === 1
}

/** Forgets what expired more than an hour ago, and rate buckets that are long full again. */
export async function sweepIdentity(queryable: Queryable, now: Date): Promise<void> {
  const before = new Date(now.getTime() - 3_600_000)
  for (const table of ['challenge', 'one_time', 'access_token']) {
    await queryable.query(`DELETE FROM ${table} WHERE expires_at < $1`, [before])
  }
  await queryable.query('DELETE FROM rate_bucket WHERE at < $1', [before])
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

/** Inserts a node of the session tree; false when the id is there already, which changes nothing. */
export async function insertNode(queryable: Queryable, row: NodeRow): Promise<boolean> {
  const { rowCount } = await queryable.query(
    `INSERT INTO session_node (id, kind, parent_id, tenant, wallet_id, subject, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
    [row.id, row.kind, row.parentId, row.tenant, row.walletId, row.subject, row.expiresAt],
  )
  return rowCount === 1
}

/** Whether a node of the session tree has this id. */
export async function hasNode(queryable: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await queryable.query('SELECT 1 FROM session_node WHERE id = $1', [id])
  return rowCount === 1
}

/** Ties a token's id to its session; the same token again changes nothing. */
export async function insertAccessToken(
  queryable: Queryable,
  row: { jti: string; sid: string; walletId: bigint; issuedAt: Date; expiresAt: Date },
): Promise<void> {
  await queryable.query(
    `INSERT INTO access_token (jti, sid, wallet_id, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (jti) DO NOTHING`,
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

/** Session of a token of this wallet; undefined for anybody else's, and for a token that was never seen. */
export async function sessionOfToken(
  queryable: Queryable,
  { tokenId, walletId }: { tokenId: string; walletId: bigint },
): Promise<string | undefined> {
  const { rows } = await queryable.query<{ sid: string }>(
    'SELECT sid FROM access_token WHERE jti = $1 AND wallet_id = $2',
    [tokenId, walletId],
  )
  return rows[0]?.sid
}
