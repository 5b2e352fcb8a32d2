// Who is asking. Every credential style ends in one Principal; nothing after authentication looks at the credential
// again. Actors form a chain, outermost (current) first: empty means that the person acts without an agent.
import type { GateScope } from './revocation.ts'

export type Role = 'owner' | 'approver' | 'admin' | 'operator'

export type Actor = { readonly kind: 'agent' | 'workload'; readonly id: string }

/** Ids of the verified session tree: user → workflow → agent → protocol session. */
export type SessionIds = {
  readonly usid: string
  readonly wsid?: string
  readonly asid?: string
  readonly msid?: string
}

export type Proof = {
  readonly kind: 'none' | 'dpop' | 'mtls' | 'erc8128' | 'tgp'
  readonly thumbprint?: string
  readonly replayId?: string
}

export type Principal = {
  readonly tenant: string
  readonly subject: { readonly kind: 'human' | 'agent' | 'workload' | 'operator'; readonly id: string }
  /** Lower-case 0x address. */
  readonly wallet: string
  /** Internal number of the wallet; the only form in which it may appear in search attributes. */
  readonly walletId: bigint
  readonly actorChain: readonly Actor[]
  readonly scopes: readonly string[]
  readonly roles: readonly Role[]
  /** `namespace:action` patterns of the credential; `*:*` for a full one. */
  readonly permissions: readonly string[]
  /** Confines a wallet token to one tool server. */
  readonly serverId?: string
  readonly proof: Proof
  /** 0 anonymous, 1 bearer, 2 sender-constrained, 3 signature over this request. */
  readonly assurance: 0 | 1 | 2 | 3
  readonly sessionIds: SessionIds
  /** Revocation scopes of the credential, each with the epoch it was issued under. */
  readonly gate: readonly GateScope[]
  /** Id of the credential for audit and revocation; never the credential itself. */
  readonly tokenId: string
  readonly expiresAt: Date
  /** When the person proved to be it; absent where a credential does not say so reliably. */
  readonly authenticatedAt?: Date
}

/** The same person acting through an agent: the chain grows by one, nothing else changes. */
export function actThrough(principal: Principal, actor: Actor): Principal {
  return { ...principal, actorChain: [actor, ...principal.actorChain] }
}
