// The session of a wallet token. The token verifies without storage; its row in the session tree is made when the token
// is created, or at its first use where it is not known, and says which token id the session answers to.
import { walletTokenId, walletTokenSessionId, type WalletTokenPayload } from '../crypto/wallet-token.ts'
import { insertAccessToken, insertNode, openWallet } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import type { Clock, Members } from './ports.ts'

export type TokenSession = { readonly tokenId: string; readonly usid: string; readonly walletId: bigint }

/** Opens or finds the session. Only the first spelling of a token gets a row; the session covers them all. */
export async function openTokenSession(
  deps: { readonly pool: Pool; readonly members: Members; readonly clock: Clock },
  payload: WalletTokenPayload,
): Promise<TokenSession> {
  const { wallet } = payload
  const tokenId = walletTokenId(payload)
  const usid = walletTokenSessionId(payload)
  const expiresAt = new Date(payload.expiry * 1000)
  const { tenant } = deps.members.of(wallet)
  const walletId = await inTransaction(deps.pool, async (client) => {
    const walletId = await openWallet(client, wallet)
    const node = { id: usid, kind: 'usid', parentId: null, tenant, walletId, subject: wallet, expiresAt } as const
    if (await insertNode(client, node)) {
      await insertAccessToken(client, { jti: tokenId, sid: usid, walletId, issuedAt: deps.clock(), expiresAt })
    }
    return walletId
  })
  return { tokenId, usid, walletId }
}
