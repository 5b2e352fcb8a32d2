// Agents as the catalogue shows them (contracts 4).
import { z } from 'zod'

/** Any text may be asked for; what is not an agent is not found. */
export const AgentParams = z.object({ id: z.string().max(200) })

export const AgentSummary = z.object({
  id: z.string(),
  name: z.string(),
  title: z.string(),
  description: z.string(),
  model: z.string(),
  skillsCount: z.number().int(),
})
export type AgentSummary = z.output<typeof AgentSummary>
export const AgentList = z.object({ agents: z.array(AgentSummary) })

export const AgentTool = z.object({ name: z.string(), description: z.string() })
export type AgentTool = z.output<typeof AgentTool>

export const AgentDetail = AgentSummary.extend({
  /** Tools that the agent's servers list now; a server that is down shows none. */
  tools: z.array(AgentTool),
  toolsCount: z.number().int(),
  skills: z.array(z.object({ name: z.string(), title: z.string(), description: z.string() })),
  categories: z.array(z.string()),
  mcpServers: z.array(z.string()),
  pricing: z.object({ type: z.string(), amount: z.string(), currency: z.string(), description: z.string() }),
})
export type AgentDetail = z.output<typeof AgentDetail>
