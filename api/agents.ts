// The agent catalogue.
import type { Agent } from '../config/agents.ts'
import { GatewayError } from '../domain/errors.ts'
import * as shapes from '../schemas/chat.ts'
import { route, type Route } from './route.ts'

export type AgentDeps = {
  readonly agents: ReadonlyMap<string, Agent>
  /** Names and descriptions of the tools an agent's servers list; empty for a server that is down. */
  readonly toolsOf: (agent: Agent) => Promise<readonly { name: string; description: string }[]>
}

const because = 'The catalogue is public.'

export function createAgentRoutes({ agents, toolsOf }: AgentDeps): Route[] {
  const row = ({ id, name, title, description, model, skills }: Agent) => ({
    id,
    name,
    title,
    description,
    model,
    skillsCount: skills.length,
  })
  return [
    route({
      method: 'get',
      path: '/agents',
      family: 'wallet',
      summary: 'Agents that can be talked to.',
      guard: { kind: 'public', because },
      responses: { 200: shapes.AgentList },
      handle: async () => ({ status: 200, body: { agents: [...agents.values()].map(row) } }),
    }),
    route({
      method: 'get',
      path: '/agents/:id',
      family: 'wallet',
      summary: 'One agent with its tools and skills.',
      guard: { kind: 'public', because },
      params: shapes.AgentParams,
      responses: { 200: shapes.AgentDetail },
      async handle({ params }) {
        const agent = agents.get(params.id)
        if (!agent) throw new GatewayError('not-found', 'There is no such agent.')
        const tools = await toolsOf(agent)
        const body = {
          ...row(agent),
          tools,
          toolsCount: tools.length,
          skills: agent.skills.map(({ name, title, description }) => ({ name, title, description })),
          categories: agent.categories,
          mcpServers: agent.servers,
          pricing: {
            type: 'usage',
            amount: '500',
            currency: 'microUSD',
            description: 'Model cost × 1.15, plus 500 micro-USD per tool call.',
          },
        }
        return { status: 200, body }
      },
    }),
  ]
}
