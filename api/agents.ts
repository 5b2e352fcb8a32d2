// The public agent catalogue, and the agents of the caller's own wallet (contracts 4).
import type { AgentCatalogue } from '../gateway/agents.ts'
import { requirementsOf } from '../gateway/agent-directory.ts'
import {
  customAgentsOf,
  removeAgent,
  saveAgent,
  showCustomAgent,
  type CustomAgentDeps,
} from '../gateway/custom-agents.ts'
import { AgentDetail, AgentList, AgentParams } from '../schemas/agent.ts'
import { Page } from '../schemas/common.ts'
import * as shapes from '../schemas/custom-agent.ts'
import { route, type Route } from './route.ts'

export type AgentRoutesDeps = CustomAgentDeps & { readonly catalogue: AgentCatalogue }

const guard = { kind: 'public', because: 'The catalogue is public; sessions are not.' } as const

const reads = { kind: 'wallet', permission: 'agents:read' } as const
const writes = { kind: 'wallet', permission: 'agents:write' } as const

export function createAgentRoutes(deps: AgentRoutesDeps): Route[] {
  // `custom` is a word of ours, before it could be an id.
  return [saveRoute(deps), ...ownRoutes(deps), ...catalogueRoutes(deps), requirementsRoute(deps)]
}

function catalogueRoutes({ catalogue }: AgentRoutesDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/agents',
      family: 'wallet',
      summary: 'Agents of this installation.',
      guard,
      responses: { 200: AgentList },
      handle: async () => ({ status: 200, body: { agents: catalogue.list() } }),
    }),
    route({
      method: 'get',
      path: '/agents/:id',
      family: 'wallet',
      summary: 'An agent with its skills, tools and price.',
      guard,
      params: AgentParams,
      responses: { 200: AgentDetail },
      handle: async ({ params }) => ({ status: 200, body: await catalogue.show(params.id) }),
    }),
  ]
}

function saveRoute(deps: AgentRoutesDeps): Route {
  return route({
    method: 'post',
    path: '/agents/custom',
    family: 'wallet',
    summary: "Makes an agent of the caller's own, or changes it; the next turn runs by it.",
    guard: writes,
    body: shapes.SaveAgent,
    responses: { 200: shapes.SavedAgent },
    async handle({ body, principal, ids }) {
      return { status: 200, body: await saveAgent(deps, { principal, requestId: ids.requestId }, body.definition) }
    },
  })
}

function ownRoutes(deps: AgentRoutesDeps): Route[] {
  const one = { path: '/agents/custom/:id', family: 'wallet', params: AgentParams, owns: ['id'] } as const
  return [
    route({
      method: 'get',
      path: '/wallet/agents',
      family: 'wallet',
      summary: "Agents of the caller's own, oldest first.",
      guard: reads,
      query: Page,
      responses: { 200: shapes.CustomAgentPage },
      handle: async ({ principal, query }) => ({ status: 200, body: await customAgentsOf(deps, principal, query) }),
    }),
    route({
      ...one,
      method: 'get',
      summary: "The stored definition of an agent of the caller's own.",
      guard: reads,
      responses: { 200: shapes.CustomAgent },
      handle: async ({ principal, params }) => ({
        status: 200,
        body: await showCustomAgent(deps, principal, params.id),
      }),
    }),
    route({
      ...one,
      method: 'delete',
      summary: 'Forgets an agent; its sessions take no more turns.',
      guard: writes,
      responses: { 200: shapes.DeletedAgent },
      async handle({ principal, params, ids }) {
        await removeAgent(deps, { principal, requestId: ids.requestId }, params.id)
        return { status: 200, body: { success: true } }
      },
    }),
  ]
}

function requirementsRoute({ catalogue }: AgentRoutesDeps): Route {
  return route({
    method: 'get',
    path: '/agents/:id/mcp-requirements',
    family: 'wallet',
    summary: "What an agent's tool servers need of its owner before they work.",
    guard: reads,
    params: AgentParams,
    responses: { 200: shapes.AgentRequirements },
    handle: async ({ principal, params }) => ({
      status: 200,
      body: requirementsOf(await catalogue.find(principal.walletId, params.id)),
    }),
  })
}
