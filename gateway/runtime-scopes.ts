// Runtime scopes as their wallet's owner keeps them. Holds and turns obey them; this only keeps and shows them.
import { randomUUID } from 'node:crypto'
import { dropBudget, setBudget } from '../db/budget.ts'
import type { Client, Pool } from '../db/pool.ts'
import {
  insertScope,
  listScopes,
  lockScope,
  readScope,
  readScopeLimits,
  toggleScopeServer,
  updateScope,
  type ScopeRow,
} from '../db/runtime-scope.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError } from '../domain/errors.ts'
import { budgetsPerWalletMax, runtimeScopesPerWalletMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import type { Page } from '../schemas/common.ts'
import { Uuid } from '../schemas/common.ts'
import type { NewRuntimeScope, RuntimeScope, RuntimeScopeChange, RuntimeScopePage } from '../schemas/runtime-scope.ts'
import type { AgentCatalogue } from './agents.ts'

export type RuntimeScopeDeps = { readonly pool: Pool; readonly catalogue: Pick<AgentCatalogue, 'servers'> }

export async function scopesOf(
  { pool }: RuntimeScopeDeps,
  principal: Principal,
  page: Page,
): Promise<RuntimeScopePage> {
  const { rows, total } = await listScopes(pool, { walletId: principal.walletId, ...page })
  return {
    scopes: rows.map((row) => toScope(row, principal)),
    total,
    hasMore: page.offset + rows.length < total,
  }
}

/** One scope. Throws `not-found`. */
export async function showScope({ pool }: RuntimeScopeDeps, principal: Principal, id: string): Promise<RuntimeScope> {
  const row = await readScope(pool, { walletId: principal.walletId, id })
  if (!row) throw unknown()
  return toScope(row, principal)
}

/** Makes a scope, active at once. Throws `scope-limit`, `budget-limit`, or `request-invalid` for an unknown server. */
export async function createScope(
  deps: RuntimeScopeDeps,
  principal: Principal,
  order: NewRuntimeScope,
): Promise<RuntimeScope> {
  const { name, externalRef = null, metadata = {}, enabledServerIds = [], budgetMicrousd = null } = order
  const id = randomUUID()
  const serverIds = knownServers(deps, enabledServerIds)
  await inTransaction(deps.pool, async (client) => {
    const row = { id, walletId: principal.walletId, name, externalRef, metadata, serverIds }
    if (!(await insertScope(client, row, runtimeScopesPerWalletMax)))
      throw new GatewayError('scope-limit', `A wallet has up to ${runtimeScopesPerWalletMax} runtime scopes.`, {
        details: { scopesMax: runtimeScopesPerWalletMax },
      })
    await writeBudget(client, { walletId: principal.walletId, id }, budgetMicrousd)
  })
  return showScope(deps, principal, id)
}

/** Changes what is given. An archived scope stays as it is. Throws `not-found`, `scope-inactive`, `budget-limit`. */
export async function changeScope(
  deps: RuntimeScopeDeps,
  principal: Principal,
  { id, change }: { readonly id: string; readonly change: RuntimeScopeChange },
): Promise<RuntimeScope> {
  const { enabledServerIds, budgetMicrousd, ...members } = change
  const serverIds = enabledServerIds && knownServers(deps, enabledServerIds)
  await whileOpen(deps, { walletId: principal.walletId, id }, async (client) => {
    await updateScope(client, id, { ...members, ...(serverIds && { serverIds }) })
    if (budgetMicrousd !== undefined) await writeBudget(client, { walletId: principal.walletId, id }, budgetMicrousd)
  })
  return showScope(deps, principal, id)
}

/** Ends a scope for good; what was spent under it stays on record. Twice is once. */
export async function archiveScope(deps: RuntimeScopeDeps, principal: Principal, id: string): Promise<RuntimeScope> {
  const scope = await showScope(deps, principal, id)
  return scope.status === 'archived' ? scope : changeScope(deps, principal, { id, change: { status: 'archived' } })
}

export type ScopeServer = { readonly id: string; readonly serverId: string; readonly enabled: boolean }

/** Enables or disables a tool server. Throws `not-found` for a scope or a server that is not there. */
export async function switchServer(
  deps: RuntimeScopeDeps,
  principal: Principal,
  { id, serverId, enabled }: ScopeServer,
): Promise<RuntimeScope> {
  await whileOpen(deps, { walletId: principal.walletId, id }, async (client) => {
    if (enabled && !deps.catalogue.servers().has(serverId))
      throw new GatewayError('not-found', 'There is no such tool server.')
    await toggleScopeServer(client, { id, serverId, enabled })
  })
  return showScope(deps, principal, id)
}

/** The id of a scope that a request names. Throws `not-found` for anything but a scope of the caller's wallet. */
export async function scopeOfRequest(
  pool: Pool,
  { walletId }: Principal,
  id: string | undefined,
): Promise<string | undefined> {
  if (id === undefined) return undefined
  if (!Uuid.safeParse(id).success || !(await readScopeLimits(pool, { walletId, id }))) throw unknown()
  return id
}

type Named = { readonly walletId: bigint; readonly id: string }

async function whileOpen(
  { pool }: RuntimeScopeDeps,
  named: Named,
  work: (client: Client) => Promise<void>,
): Promise<void> {
  await inTransaction(pool, async (client) => {
    const status = await lockScope(client, named)
    if (status === undefined) throw unknown()
    if (status === 'archived')
      throw new GatewayError('scope-inactive', 'The runtime scope is archived.', {
        details: { scopeId: named.id, status },
      })
    await work(client)
  })
}

async function writeBudget(client: Client, { walletId, id }: Named, limit: string | null): Promise<void> {
  const key = { walletId, kind: 'scope', subject: id, period: 'total' } as const
  if (limit === null) await dropBudget(client, key)
  else if (!(await setBudget(client, key, { limitMicros: BigInt(limit), budgetsMax: budgetsPerWalletMax })))
    throw new GatewayError('budget-limit', `A wallet has up to ${budgetsPerWalletMax} budgets.`)
}

// A misspelt server would stand on the list and enable nothing.
function knownServers({ catalogue }: RuntimeScopeDeps, ids: readonly string[]): string[] {
  const strange = ids.find((id) => !catalogue.servers().has(id))
  if (strange !== undefined)
    throw new GatewayError('request-invalid', `There is no tool server ${strange}.`, {
      details: { field: 'enabledServerIds' },
    })
  return [...new Set(ids)]
}

const unknown = () => new GatewayError('not-found', 'There is no such runtime scope.')

function toScope(row: ScopeRow, { wallet }: Principal): RuntimeScope {
  return {
    id: row.id,
    walletAddress: wallet,
    name: row.name,
    externalRef: row.externalRef,
    status: row.status,
    metadata: { ...row.metadata },
    budgetMicrousd: row.budgetMicros?.toString() ?? null,
    spentMicrousd: row.spentMicros.toString(),
    enabledServerIds: [...row.serverIds],
  }
}
