// The public agent catalogue.
import type { AgentCatalogue } from '../gateway/agents.ts'
import { AgentDetail, AgentList, AgentParams } from '../schemas/agent.ts'
import { route, type Route } from './route.ts'

export type AgentRoutesDeps = { readonly catalogue: AgentCatalogue }

const guard = { kind: 'public', because: 'The catalogue is public; sessions are not.' } as const

export function createAgentRoutes({ catalogue }: AgentRoutesDeps): Route[] {
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
