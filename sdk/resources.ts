// The plain calls of the client: agents, sessions and the wallet.
import { z } from 'zod'
import { pageItemsMax, sessionsPerWalletMax } from '../domain/limits.ts'
import { sessionPath, type SessionRef } from './chat.ts'
import { GatehouseError } from './errors.ts'
import { queryOf, type Transport } from './http.ts'
import * as shapes from './shapes.ts'
import { createScopes, createSettings } from './wallet-parts.ts'

export type Page = { readonly limit?: number; readonly offset?: number }
/** A page of the bill. `since` and `until` are ISO times: from the one on, before the other. */
export type History = Page & {
  readonly type?: string | undefined
  readonly agentId?: string | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
}
/** A session, or its id; an id alone costs a look-up of its agent. */
export type SessionName = SessionRef | string

export function createAgents(transport: Transport) {
  return {
    /**
     * The catalogue. Nobody needs to be signed in.
     *
     * @example
     * for (const agent of await client.agents.list()) show(agent.id, agent.title)
     */
    list: async (): Promise<shapes.AgentSummary[]> =>
      (await transport.call({ method: 'GET', path: '/agents' }, shapes.AgentList)).agents,
    /**
     * One agent with its tools, skills and price.
     *
     * @example
     * const { tools } = await client.agents.get('assistant')
     */
    get: (agentId: string): Promise<shapes.Agent> =>
      transport.call({ method: 'GET', path: `/agents/${encodeURIComponent(agentId)}` }, shapes.Agent),
    /**
     * Makes an agent of one's own, or a new version of it. Its id is the chosen one with a suffix.
     *
     * @example
     * const { agentId } = await client.agents.save({ id: 'clerk', name: 'Clerk', mcp_servers: ['everything'] })
     */
    save: (definition: shapes.AgentDefinition): Promise<shapes.SavedAgent> =>
      transport.call({ method: 'POST', path: '/agents/custom', body: { definition } }, shapes.SavedAgent),
    /**
     * Agents of one's own.
     *
     * @example
     * for (const { agentId, name } of await client.agents.own()) show(agentId, name)
     */
    own: async (page: Page = {}): Promise<shapes.OwnAgent[]> =>
      (await transport.call({ method: 'GET', path: `/wallet/agents${queryOf(page)}` }, shapes.OwnAgentList)).agents,
    /**
     * The definition of an agent of one's own, with the tools that it leads to now.
     *
     * @example
     * const { definition, version } = await client.agents.definition(agentId)
     */
    definition: (agentId: string): Promise<shapes.CustomAgent> =>
      transport.call({ method: 'GET', path: `/agents/custom/${encodeURIComponent(agentId)}` }, shapes.CustomAgent),
    /**
     * What the agent's tool servers need of their user before they work.
     *
     * @example
     * const { totalRequired } = await client.agents.requirements(agentId)
     */
    requirements: (agentId: string): Promise<shapes.AgentRequirements> =>
      transport.call(
        { method: 'GET', path: `/agents/${encodeURIComponent(agentId)}/mcp-requirements` },
        shapes.AgentRequirements,
      ),
    /**
     * Forgets an agent of one's own; its sessions take no more turns.
     *
     * @example
     * await client.agents.delete(agentId)
     */
    delete: async (agentId: string): Promise<void> => {
      await transport.call({ method: 'DELETE', path: `/agents/custom/${encodeURIComponent(agentId)}` }, z.unknown())
    },
  }
}

type Resolve = (session: SessionName) => Promise<SessionRef>

export function createSessions(transport: Transport, agentOf: Resolve) {
  return {
    /**
     * Opens a session with an agent.
     *
     * @example
     * const session = await client.sessions.create('assistant')
     */
    create: (agentId: string, request: { readonly model?: string | undefined } = {}): Promise<shapes.SessionSummary> =>
      transport.call(
        {
          method: 'POST',
          path: `/agents/${encodeURIComponent(agentId)}/sessions`,
          body: request.model === undefined ? {} : { model: request.model },
        },
        shapes.SessionSummary,
      ),
    /**
     * Sessions of this wallet, of all agents or of one.
     *
     * @example
     * const [latest] = await client.sessions.list({ agentId: 'assistant', limit: 1 })
     */
    list: async (request: Page & { readonly agentId?: string | undefined } = {}): Promise<shapes.SessionSummary[]> => {
      const folder = request.agentId === undefined ? '/wallet' : `/agents/${encodeURIComponent(request.agentId)}`
      const { agentId: _folder, ...page } = request
      const path = `${folder}/sessions${queryOf(page)}`
      return (await transport.call({ method: 'GET', path }, shapes.SessionList)).sessions
    },
    /**
     * One session with its transcript.
     *
     * @example
     * const { messages } = await client.sessions.get(session)
     */
    get: async (session: SessionName): Promise<shapes.Session> =>
      transport.call({ method: 'GET', path: sessionPath(await agentOf(session)) }, shapes.Session),
    /**
     * Ends a session and purges what was said in it.
     *
     * @example
     * await client.sessions.delete(session)
     */
    delete: async (session: SessionName): Promise<void> => {
      await transport.call({ method: 'DELETE', path: sessionPath(await agentOf(session)) }, z.unknown())
    },
  }
}

type BudgetName = { readonly kind: 'wallet' | 'scope' | 'agent' | 'session' | 'reflection'; readonly id: string }
type BudgetPeriod = 'daily' | 'weekly' | 'monthly' | 'total'

const budgetPath = ({ kind, id }: BudgetName) => `/wallet/budgets/${kind}/${encodeURIComponent(id)}`

function createBudgets(transport: Transport) {
  return {
    /**
     * Limits of spending, with what counts against them now.
     *
     * @example
     * for (const { subject, period, spentMicroUsd } of await client.wallet.budgets.list()) show(subject, period, spentMicroUsd)
     */
    list: async (): Promise<shapes.Budget[]> =>
      (await transport.call({ method: 'GET', path: '/wallet/budgets' }, shapes.BudgetList)).budgets,
    /**
     * Sets a limit, in whole micro-USD. What would pass it is refused with `BUDGET_EXCEEDED`.
     *
     * @example
     * await client.wallet.budgets.set({ kind: 'agent', id: 'assistant' }, 'daily', '500000')
     */
    set: (subject: BudgetName, period: BudgetPeriod, limitMicroUsd: string): Promise<shapes.Budget> =>
      transport.call({ method: 'PUT', path: budgetPath(subject), body: { period, limitMicroUsd } }, shapes.Budget),
    /**
     * Removes a limit.
     *
     * @example
     * await client.wallet.budgets.remove({ kind: 'agent', id: 'assistant' }, 'daily')
     */
    remove: async (subject: BudgetName, period: BudgetPeriod): Promise<void> => {
      await transport.call({ method: 'DELETE', path: `${budgetPath(subject)}/${period}` }, z.unknown())
    },
  }
}

export function createWallet(transport: Transport) {
  return {
    /**
     * What can be spent, in micro-USD.
     *
     * @example
     * formatMicros((await client.wallet.balance()).availableBalance)
     */
    balance: (): Promise<shapes.Balance> => transport.call({ method: 'GET', path: '/wallet/balance' }, shapes.Balance),
    /**
     * The bill, latest first.
     *
     * @example
     * const { transactions, hasMore } = await client.wallet.transactions({ type: 'spend', limit: 20 })
     */
    transactions: (history: History = {}): Promise<shapes.TransactionPage> =>
      transport.call({ method: 'GET', path: `/wallet/transactions${queryOf(history)}` }, shapes.TransactionPage),
    budgets: createBudgets(transport),
    scopes: createScopes(transport),
    settings: createSettings(transport),
    /**
     * Play money, once per wallet; in development only.
     *
     * @example
     * await client.wallet.faucet()
     */
    faucet: (): Promise<shapes.Faucet> =>
      transport.call({ method: 'POST', path: '/wallet/faucet', body: {} }, shapes.Faucet),
  }
}

// Routes name the agent and the session; whoever kept only the session's id pays for a look at the wallet's sessions.
export function createResolver(transport: Transport): Resolve {
  return async (session) => {
    if (typeof session !== 'string') return session
    for (let offset = 0; offset < sessionsPerWalletMax; offset += pageItemsMax) {
      const path = `/wallet/sessions${queryOf({ limit: pageItemsMax, offset })}`
      const { sessions } = await transport.call({ method: 'GET', path }, shapes.SessionList)
      const found = sessions.find(({ id }) => id === session)
      if (found) return found
      if (sessions.length < pageItemsMax) break
    }
    throw new GatehouseError(`There is no session ${session} of this wallet.`, { status: 404, code: 'NOT_FOUND' })
  }
}
