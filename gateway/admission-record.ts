// A principal as remembered beside a turn, and back. Tenant and roles are read from the members at each use.
import type { Principal } from '../domain/principal.ts'
import type { Admission } from '../schemas/admission.ts'
import type { Members } from './ports.ts'

/** What the turn began with besides its principal. */
export type Begun = { readonly runtimeScopeId?: string | undefined; readonly agentVersion?: number | undefined }

export function admissionOf(principal: Principal, { runtimeScopeId, agentVersion = 0 }: Begun = {}): Admission {
  const {
    tenant,
    subject,
    wallet,
    walletId,
    permissions,
    serverId,
    proof,
    assurance,
    sessionIds,
    gate,
    tokenId,
    expiresAt,
  } = principal
  return {
    tenant,
    subject: { ...subject },
    wallet,
    walletId: walletId.toString(),
    permissions: [...permissions],
    ...(serverId === undefined ? {} : { serverId }),
    proof: { ...proof },
    assurance,
    sessionIds: { ...sessionIds },
    gate: gate.map((scope) => ({ ...scope })),
    tokenId,
    expiresAt: expiresAt.toISOString(),
    ...(runtimeScopeId === undefined ? {} : { runtimeScopeId }),
    ...(agentVersion === 0 ? {} : { agentVersion }),
  }
}

/** The principal who asked, with the tenant and roles of now. */
export function principalOf(admission: Admission, members: Members): Principal {
  const { tenant, roles } = members.of(admission.wallet)
  const { serverId, proof, sessionIds, runtimeScopeId: _scope, agentVersion: _version, ...rest } = admission
  return {
    ...rest,
    tenant,
    roles,
    walletId: BigInt(admission.walletId),
    actorChain: [],
    scopes: [],
    ...(serverId === undefined ? {} : { serverId }),
    proof: withoutUndefined(proof),
    sessionIds: withoutUndefined(sessionIds),
    expiresAt: new Date(admission.expiresAt),
  }
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Defined<T>
}
