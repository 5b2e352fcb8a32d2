// Which agent a name means to a wallet: a recipe of the installation, or an agent of the wallet's own, which nobody else
// knows. A turn keeps the version that it began with.
import type { Agent } from '../config/agents.ts'
import { readCustomAgent } from '../db/custom-agent.ts'
import type { Queryable } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import { outputTokensDefault, turnStepsDefault } from '../domain/limits.ts'
import { AgentDefinition, type AgentRequirements } from '../schemas/custom-agent.ts'

export type Recipes = ReadonlyMap<string, Agent>
export type AgentName = { readonly walletId: bigint; readonly id: string; readonly version?: number | undefined }

/** The agent, newest or as it was at a version. Throws `not-found`, also for another wallet's. */
export async function findAgent(queryable: Queryable, recipes: Recipes, name: AgentName): Promise<Agent> {
  const recipe = recipes.get(name.id)
  if (recipe) return recipe
  const row = isCustomId(name.id) ? await readCustomAgent(queryable, name) : undefined
  if (!row) throw new GatewayError('not-found', 'There is no such agent.')
  return agentOf({ ...row, definition: AgentDefinition.parse(row.definition) })
}

// Spares the look-up of what cannot be there.
const isCustomId = (id: string) => /^[a-z0-9-]+-[0-9a-f]{6}$/.test(id)

/** The model of an agent whose owner names none. */
const modelDefault = 'haiku'

/** A stored definition as turns run by it. */
export function agentOf({
  id,
  version,
  definition,
}: {
  id: string
  version: number
  definition: AgentDefinition
}): Agent {
  return {
    id,
    version,
    name: definition.name,
    title: definition.title ?? definition.name,
    description: definition.description ?? '',
    model: definition.model ?? modelDefault,
    categories: definition.category === undefined ? [] : [definition.category],
    servers: definition.mcp_servers ?? [],
    tools: definition.tools ?? null,
    outputTokensMax: definition.outputTokensMax ?? outputTokensDefault,
    stepsMax: definition.stepsMax ?? turnStepsDefault,
    systemPrompt: definition.systemPrompt ?? '',
    routing: definition.routing ?? '',
    skills: definition.skills ?? [],
  }
}

/** What its tool servers need of their user. Servers of this installation hold no key of a wallet: nothing. */
export function requirementsOf({ id, servers }: Agent): AgentRequirements {
  return {
    agentId: id,
    servers: servers.map((serverId) => ({ serverId, name: serverId, required: [] })),
    totalRequired: 0,
  }
}

/** What a model is told before the conversation: who it is, what its skills are for, and the skills. */
export function instructionsOf({ systemPrompt, routing, skills }: Agent): string {
  const known = skills.map((skill) => `## ${skill.title}\n${skill.text}`)
  return [systemPrompt, routing, ...known].filter((part) => part !== '').join('\n\n')
}
