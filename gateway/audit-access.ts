// Who sees which evidence: a wallet its own records, admin and approver of a tenant the tenant's, an operator all. The
// wider views need a credential that carries them. What a caller may not name does not exist for it.
import { GatewayError } from '../domain/errors.ts'
import { permits } from '../domain/permission.ts'
import type { Principal } from '../domain/principal.ts'

export const auditPermission = 'wallet:audit'
/** Beside the role, for the view of a tenant or of the installation. */
const widePermission = 'admin:audit'

export type AuditScope =
  | { readonly kind: 'all' }
  | { readonly kind: 'tenant'; readonly tenant: string }
  | { readonly kind: 'wallet'; readonly tenant: string; readonly wallet: string; readonly walletId: bigint }

/** What the caller sees at most. */
export function auditScopeOf({ tenant, wallet, walletId, roles, permissions }: Principal): AuditScope {
  const wide = permits(permissions, widePermission)
  if (wide && roles.includes('operator')) return { kind: 'all' }
  if (wide && (roles.includes('admin') || roles.includes('approver'))) return { kind: 'tenant', tenant }
  return { kind: 'wallet', tenant, wallet, walletId }
}

/** Whose chain is meant: the caller's, or for an operator the one that is named. Throws `not-found` for another's. */
export function chainOf(principal: Principal, named: string | undefined): string {
  if (named === undefined || named === principal.tenant) return principal.tenant
  if (auditScopeOf(principal).kind === 'all') return named
  throw new GatewayError('not-found', 'There is no such tenant.')
}

/** A chain as a whole, with the acts of all its wallets: throws `not-found` for a caller who sees only some of them. */
export function wholeChainOf(principal: Principal, named: string | undefined): string {
  const tenant = chainOf(principal, named)
  const isAlone = tenant === principal.wallet // an unlisted wallet is its own tenant
  if (auditScopeOf(principal).kind !== 'wallet' || isAlone) return tenant
  throw new GatewayError('not-found', 'The chain of this tenant is exported by its admins and approvers.')
}
