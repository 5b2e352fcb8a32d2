// Agents that people make, on the wire (contracts 4). Ours beside the contract: tools, routing, skills and bounds of its own.
import { z } from 'zod'
import {
  agentIdCharsMax,
  agentMetadataBytesMax,
  agentOutputTokensMax,
  agentSkillsMax,
  agentTextBytesMax,
  agentToolPatternsMax,
  toolServersMax,
  turnStepsMax,
} from '../domain/limits.ts'
import { isToolPattern } from '../domain/tool.ts'
import { AgentTool } from './agent.ts'
import { PlainText, smallJson } from './common.ts'

/** Lower-case words with hyphens: it stands in addresses, bills and evidence. */
export const AgentId = z
  .string()
  .max(agentIdCharsMax)
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, 'must be lower-case words joined by hyphens')

const Line = PlainText.min(1).max(200)
const Text = PlainText.max(agentTextBytesMax)

const CustomSkill = z.strictObject({ name: AgentId, title: Line, description: PlainText.max(2_000), text: Text })

export const AgentDefinition = z
  .strictObject({
    id: AgentId,
    name: Line,
    title: Line.optional(),
    description: PlainText.max(2_000).optional(),
    /** A price table's id or a short name. */
    model: PlainText.min(1).max(200).optional(),
    category: Line.optional(),
    mcp_servers: z.array(z.string().max(100)).max(toolServersMax).optional(),
    /** Of the servers' tools, those it may use: `server/tool` with `*`; all of them when it is left out. */
    tools: z
      .array(z.string().max(300).refine(isToolPattern, 'must be server/tool, with * for any part of the tool'))
      .max(agentToolPatternsMax)
      .optional(),
    /** This installation has none: every tool is of a tool server. */
    builtin_tools: z.array(z.string()).max(0, 'there are no built-in tools here; name tool servers').optional(),
    systemPrompt: Text.optional(),
    /** When the skills are for. */
    routing: Text.optional(),
    skills: z.array(CustomSkill).max(agentSkillsMax).optional(),
    outputTokensMax: z.number().int().min(1).max(agentOutputTokensMax).optional(),
    /** Model calls in one turn. */
    stepsMax: z.number().int().min(1).max(turnStepsMax).optional(),
    metadata: smallJson(agentMetadataBytesMax).optional(),
  })
  .refine(isShort, {
    path: ['systemPrompt'],
    message: `prompt, routing and skills may have ${agentTextBytesMax} bytes together`,
  })
  .refine(({ skills = [] }) => new Set(skills.map(({ name }) => name)).size === skills.length, {
    path: ['skills'],
    message: 'two skills have one name',
  })
  .refine(({ mcp_servers: servers = [], tools = [] }) => tools.every((tool) => servers.includes(serverOf(tool))), {
    path: ['tools'],
    message: 'a tool is of a server that mcp_servers does not name',
  })
export type AgentDefinition = z.output<typeof AgentDefinition>

const serverOf = (pattern: string) => pattern.slice(0, pattern.indexOf('/'))

function isShort(definition: {
  systemPrompt?: string | undefined
  routing?: string | undefined
  skills?: { text: string }[] | undefined
}) {
  const { systemPrompt = '', routing = '', skills = [] } = definition
  const texts = [systemPrompt, routing, ...skills.map(({ text }) => text)]
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) <= agentTextBytesMax
}

export const SaveAgent = z.strictObject({ definition: AgentDefinition })
export const SavedAgent = z.object({ agentId: z.string(), agentName: z.string(), version: z.number().int() })
export type SavedAgent = z.output<typeof SavedAgent>

/** What is stored, with the id that it got. */
export const CustomAgent = z.object({
  agentId: z.string(),
  version: z.number().int(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  definition: z.looseObject({ id: z.string(), name: z.string() }),
  /** What its servers list now, and it may use; a server that is down shows none. */
  tools: z.array(AgentTool),
})
export type CustomAgent = z.output<typeof CustomAgent>
export const CustomAgentPage = z.object({
  agents: z.array(CustomAgent.omit({ definition: true, tools: true }).extend({ name: z.string(), title: z.string() })),
  total: z.number().int(),
  hasMore: z.boolean(),
})
export type CustomAgentPage = z.output<typeof CustomAgentPage>
export const DeletedAgent = z.object({ success: z.literal(true) })

/** What an agent's tool servers need of its owner before they work. */
export const AgentRequirements = z.object({
  agentId: z.string(),
  servers: z.array(z.object({ serverId: z.string(), name: z.string(), required: z.array(z.string()) })),
  totalRequired: z.number().int(),
})
export type AgentRequirements = z.output<typeof AgentRequirements>
