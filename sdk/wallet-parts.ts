// Parts of a wallet that its owner keeps: runtime scopes and settings.
import type { Transport } from './http.ts'
import * as shapes from './shapes.ts'

/** What may be given of a scope. Amounts are whole micro-USD as text; null takes the budget away. */
export type ScopeChange = {
  readonly name?: string | undefined
  readonly externalRef?: string | null | undefined
  readonly status?: 'active' | 'paused' | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  readonly budgetMicrousd?: string | null | undefined
  readonly enabledServerIds?: readonly string[] | undefined
}

const scopePath = (id: string) => `/wallet/runtime-scopes/${encodeURIComponent(id)}`

export function createScopes(transport: Transport) {
  return {
    /**
     * Runtime scopes with what was spent under them, up to 200.
     *
     * @example
     * for (const { name, spentMicrousd } of await client.wallet.scopes.list()) show(name, spentMicrousd)
     */
    list: async (): Promise<shapes.RuntimeScope[]> =>
      (await transport.call({ method: 'GET', path: '/wallet/runtime-scopes?limit=200' }, shapes.RuntimeScopeList))
        .scopes,
    /**
     * Makes a scope. A chat names it with the option `scopeId`.
     *
     * @example
     * const { id } = await client.wallet.scopes.create({ name: 'customer 7', budgetMicrousd: '500000' })
     */
    create: (scope: ScopeChange & { readonly name: string }): Promise<shapes.RuntimeScope> =>
      transport.call({ method: 'POST', path: '/wallet/runtime-scopes', body: scope }, shapes.RuntimeScope),
    /**
     * Changes what is given of a scope.
     *
     * @example
     * await client.wallet.scopes.update(id, { status: 'paused' })
     */
    update: (id: string, change: ScopeChange): Promise<shapes.RuntimeScope> =>
      transport.call({ method: 'PUT', path: scopePath(id), body: change }, shapes.RuntimeScope),
    /**
     * Ends a scope for good; its history stays.
     *
     * @example
     * await client.wallet.scopes.archive(id)
     */
    archive: (id: string): Promise<shapes.RuntimeScope> =>
      transport.call({ method: 'DELETE', path: scopePath(id) }, shapes.RuntimeScope),
    /**
     * Lets turns of the scope use the tools of a server, or no longer.
     *
     * @example
     * await client.wallet.scopes.server(id, 'everything', 'enable')
     */
    server: (id: string, serverId: string, verb: 'enable' | 'disable'): Promise<shapes.RuntimeScope> => {
      const path = `${scopePath(id)}/servers/${encodeURIComponent(serverId)}/${verb}`
      return transport.call({ method: 'POST', path, body: {} }, shapes.RuntimeScope)
    },
  }
}

export function createSettings(transport: Transport) {
  return {
    /**
     * Every setting, null where nothing is set.
     *
     * @example
     * const { defaultModel } = await client.wallet.settings.get()
     */
    get: (): Promise<shapes.Settings> => transport.call({ method: 'GET', path: '/wallet/settings' }, shapes.Settings),
    /**
     * Changes the given settings; null unsets one.
     *
     * @example
     * await client.wallet.settings.set({ minimumBalanceMicroUsd: '1000000' })
     */
    set: (change: Readonly<Record<string, unknown>>): Promise<shapes.Settings> =>
      transport.call({ method: 'PUT', path: '/wallet/settings', body: change }, shapes.Settings),
  }
}
