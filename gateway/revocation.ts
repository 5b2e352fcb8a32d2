// The owner of a credential ends it: the epochs are raised and the act is on record in one transaction, its place in the
// order of effects with it. No policy, feed or spool stands in the way: who has lost a credential must not wait for them.
import { readEpoch, sessionOfToken } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { revokeScopes } from '../db/revocation.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError } from '../domain/errors.ts'
import type { Principal } from '../domain/principal.ts'
import { scopeName } from '../domain/revocation.ts'
import type { SpanIds } from '../telemetry/tracing.ts'
import { ownDecision, recordAct } from './house-record.ts'

export type Revocation = {
  readonly principal: Principal
  /** A token of the caller's wallet; absent: everything that was signed before now. */
  readonly tokenId: string | undefined
  readonly span: SpanIds
}

export type Revoked = { readonly scopes: readonly string[]; readonly seq: bigint; readonly epoch: number }

/** Revokes at once. Throws `not-found` for a token that is not of the caller's wallet. */
export async function revokeOwn(pool: Pool, { principal, tokenId, span }: Revocation): Promise<Revoked> {
  const startedAtMs = performance.now()
  const { wallet } = principal
  const scopes =
    tokenId === undefined ? [scopeName('wallet', wallet)] : await scopesOfToken(pool, { principal, tokenId })
  return inTransaction(pool, async (client) => {
    const seq = await revokeScopes(client, { scopes, reason: 'revoked by its owner', by: wallet })
    const epoch = await readEpoch(client, scopes[0] ?? '')
    await recordAct(client, {
      principal,
      action: 'credential.revoke',
      resource: { kind: 'credential', name: scopes[0] ?? '' },
      facts: { scopes },
      origin: 'http',
      effectKey: `revoke:${seq}`,
      decision: ownersRight,
      span,
      seq,
      startedAtMs,
    })
    return { scopes, seq, epoch }
  })
}

const ownersRight = ownDecision('owner-revokes', 'The owner of a credential may end it at any time.')

// The token and its session: a wallet token can be spelled anew with another id, its session stays the same.
async function scopesOfToken(
  pool: Pool,
  { principal, tokenId }: { principal: Principal; tokenId: string },
): Promise<string[]> {
  const { walletId, sessionIds } = principal
  const sid = tokenId === principal.tokenId ? sessionIds.usid : await sessionOfToken(pool, { tokenId, walletId })
  if (sid === undefined) throw new GatewayError('not-found', 'There is no such token of yours.')
  return [scopeName('token', tokenId), scopeName('session', sid)]
}
