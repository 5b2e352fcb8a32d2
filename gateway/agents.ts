// The agent catalogue as anybody may see it: recipes, with the model a session gets by default and the tools that their
// servers list.
import type { Agent } from '../config/agents.ts'
import type { PriceTable, resolveModel } from '../config/prices.ts'
import type { Queryable } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import { toolListMs } from '../domain/limits.ts'
import { formatUsd, micros } from '../domain/money.ts'
import { plans, toolReservation } from '../domain/pricing.ts'
import { exposedToolName, isOnBelt, splitToolName } from '../domain/tool.ts'
import type { AgentDetail, AgentSummary, AgentTool } from '../schemas/agent.ts'
import { findAgent, type Recipes } from './agent-directory.ts'

export type AgentsDeps = {
  readonly pool: Queryable
  readonly agents: Recipes
  readonly prices: PriceTable
  readonly resolveModel: typeof resolveModel
  readonly listTools: (server: string, signal: AbortSignal) => Promise<readonly AgentTool[]>
}

export type AgentCatalogue = {
  readonly list: () => AgentSummary[]
  /** A recipe in full. */
  readonly show: (id: string) => Promise<AgentDetail>
  /** A recipe, or an agent of the wallet's own; not found when there is neither. */
  readonly find: (walletId: bigint, id: string) => Promise<Agent>
  /** What the agent's servers list now, and it may use. A server that is down shows none. */
  readonly toolsOf: (agent: Agent) => Promise<AgentTool[]>
  /** Tool servers that some agent works with. */
  readonly servers: () => ReadonlySet<string>
}

const toolsFreshMs = 60_000

/** The catalogue; tools are asked for at most once a minute per server. */
export function createAgentCatalogue(deps: AgentsDeps): AgentCatalogue {
  const listed = new Map<string, { readonly at: number; readonly tools: Promise<readonly AgentTool[]> }>()
  const toolsOfServer = (server: string): Promise<readonly AgentTool[]> => {
    const known = listed.get(server)
    if (known && performance.now() - known.at < toolsFreshMs) return known.tools
    const tools = deps.listTools(server, AbortSignal.timeout(toolListMs)).then(
      (all) => all.map((tool) => ({ name: exposedToolName(server, tool.name), description: tool.description })),
      () => {
        listed.delete(server) // a server that is down shows no tools, and is asked again
        return []
      },
    )
    listed.set(server, { at: performance.now(), tools })
    return tools
  }
  const toolsOf = async (agent: Agent) =>
    (await Promise.all(agent.servers.map(toolsOfServer))).flat().filter(({ name }) => isShown(agent, name))
  const servers = new Set([...deps.agents.values()].flatMap((agent) => agent.servers))
  return {
    find: (walletId, id) => findAgent(deps.pool, deps.agents, { walletId, id }),
    toolsOf,
    servers: () => servers,
    list: () => [...deps.agents.values()].map((agent) => summaryOf(deps, agent)),
    async show(id) {
      const agent = deps.agents.get(id)
      if (!agent) throw new GatewayError('not-found', 'There is no such agent.')
      const tools = await toolsOf(agent)
      return {
        ...summaryOf(deps, agent),
        tools,
        toolsCount: tools.length,
        skills: agent.skills.map(({ name, title, description }) => ({ name, title, description })),
        categories: agent.categories,
        mcpServers: agent.servers,
        pricing: pricing(),
      }
    },
  }
}

function isShown(agent: Agent, name: string): boolean {
  const { server = '', tool = '' } = splitToolName(name) ?? {}
  return isOnBelt(agent, server, tool)
}

function summaryOf({ prices, resolveModel: resolve }: AgentsDeps, agent: Agent): AgentSummary {
  const { id, name, title, description, skills } = agent
  return {
    id,
    name,
    title,
    description,
    model: resolve(prices, agent.model) ?? agent.model,
    skillsCount: skills.length,
  }
}

// There is no price of its own on an agent: what a turn uses is what it costs.
function pricing(): AgentDetail['pricing'] {
  const { managed } = plans
  const perTool = formatUsd(micros(toolReservation(managed)))
  return {
    type: 'usage',
    amount: '0',
    currency: 'USD',
    description: `Model cost × ${Number(managed.percentOfBase) / 100}, plus ${perTool} per tool call.`,
  }
}
