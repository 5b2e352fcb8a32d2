// The owner of a credential ends it: the epochs are raised and the act is on record in one transaction, its place in the
// order of effects with it. No policy, feed or spool stands in the way: who has lost a credential must not wait for them.
import { randomUUID } from 'node:crypto'
import { insertAudit } from '../db/audit.ts'
import { readEpoch, sessionOfToken } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { revokeScopes } from '../db/revocation.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError } from '../domain/errors.ts'
import type { Decision } from '../domain/policy/combine.ts'
import type { Principal } from '../domain/principal.ts'
import { scopeName } from '../domain/revocation.ts'
import type { SpanIds } from '../telemetry/tracing.ts'
import { auditIntent, auditOutcome } from './audit-record.ts'

export type Revocation = {
  readonly principal: Principal
  /** A token of the caller's wallet; absent: everything that was signed before now. */
  readonly tokenId: string | undefined
  readonly span: SpanIds
}

export type Revoked = { readonly scopes: readonly string[]; readonly seq: bigint; readonly epoch: number }

/** Revokes at once. Throws `not-found` for a token that is not of the caller's wallet. */
export async function revokeOwn(pool: Pool, { principal, tokenId, span }: Revocation): Promise<Revoked> {
  const [startedAtMs, at] = [performance.now(), new Date()]
  const { wallet, tenant } = principal
  const scopes =
    tokenId === undefined ? [scopeName('wallet', wallet)] : await scopesOfToken(pool, { principal, tokenId })
  return inTransaction(pool, async (client) => {
    const seq = await revokeScopes(client, { scopes, reason: 'revoked by its owner', by: wallet })
    const epoch = await readEpoch(client, scopes[0] ?? '')
    const call = {
      principal,
      action: 'credential.revoke',
      resource: { kind: 'credential', name: scopes[0] ?? '' },
      facts: { arguments: { scopes } },
      origin: 'http',
      effectKey: `revoke:${seq}`,
      attempt: 1,
    } as const
    await insertAudit(client, {
      id: randomUUID(),
      tenant,
      intent: { ...auditIntent({ call, decision: ownersRight, at, span }), effect_seq: Number(seq) },
      outcome: auditOutcome({ status: 'ok' }, startedAtMs),
    })
    return { scopes, seq, epoch }
  })
}

/** Not a rule of a policy, because none may take it away. */
const ownersRight: Decision = {
  kind: 'allow',
  obligations: [],
  policyId: 'gatehouse',
  version: 1,
  epoch: 0,
  ruleIds: ['owner-revokes'],
  reason: 'The owner of a credential may end it at any time.',
}

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
