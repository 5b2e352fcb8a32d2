// Replies under keys that callers chose. A key is claimed in one statement; only the holder of the claim keeps a reply.
import type { Queryable } from './pool.ts'

/** A key belongs to its owner and a route; `bodyHash` stands for all that was asked. */
export type ReplyName = {
  readonly owner: string
  readonly route: string
  readonly key: string
  readonly bodyHash: string
}

export type ReplyBounds = { readonly leaseSeconds: number; readonly keepSeconds: number; readonly keysMax: number }

export type ClaimAnswer =
  | { readonly answer: 'run' | 'busy' | 'reused' | 'full'; readonly sealed: null }
  | { readonly answer: 'stored'; readonly sealed: Buffer }

/** Claims the key under `claim`, a UUID of the caller, or answers what stands there. */
export async function claimReply(
  queryable: Queryable,
  name: ReplyName,
  { claim, ...bounds }: ReplyBounds & { readonly claim: string },
): Promise<ClaimAnswer> {
  const { rows } = await queryable.query<ClaimAnswer>({
    name: 'idempotent-claim',
    text: 'SELECT answer, sealed FROM idempotent_claim($1, $2, $3, $4, $5)',
    values: [JSON.stringify(name), claim, bounds.leaseSeconds, bounds.keepSeconds, bounds.keysMax],
  })
  if (!rows[0]) throw new Error('idempotent_claim answers a row.')
  return rows[0]
}

/** Keeps the reply; a claim that lapsed and was taken over keeps nothing. */
export async function keepReply(
  queryable: Queryable,
  { owner, route, key }: ReplyName,
  reply: { readonly claim: string; readonly sealed: Uint8Array },
): Promise<void> {
  await queryable.query(
    'UPDATE idempotent_reply SET sealed = $5 WHERE (owner, route, key) = ($1, $2, $3) AND claim = $4',
    [owner, route, key, reply.claim, reply.sealed],
  )
}

/** Gives the key back. */
export async function releaseReply(
  queryable: Queryable,
  { owner, route, key }: ReplyName,
  claim: string,
): Promise<void> {
  await queryable.query(
    'DELETE FROM idempotent_reply WHERE (owner, route, key) = ($1, $2, $3) AND claim = $4 AND sealed IS NULL',
    [owner, route, key, claim],
  )
}

/** Forgets replies whose time is over. Answers how many went. */
export async function dropOldReplies(queryable: Queryable, limit: number): Promise<number> {
  const { rowCount } = await queryable.query(
    `DELETE FROM idempotent_reply WHERE (owner, route, key) IN (SELECT owner, route, key FROM idempotent_reply
       WHERE expires_at < clock_timestamp() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)`,
    [limit],
  )
  return rowCount ?? 0
}
