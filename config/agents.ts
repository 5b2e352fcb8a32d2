// Agent recipes: a folder with `agent.md` (front matter and system prompt), `skills/*.md`, and `claude-routing.md`: when the
// skills are for.
import { parse } from 'yaml'
import { z } from 'zod'
import { agentOutputTokensMax, outputTokensDefault, turnStepsDefault, turnStepsMax } from '../domain/limits.ts'
import { isToolPattern } from '../domain/tool.ts'

const FrontMatter = z.strictObject({
  name: z.string().min(1),
  title: z.string().min(1),
  description: z.string(),
  model: z.string(),
  categories: z.array(z.string()).default([]),
  servers: z.array(z.string()).default([]),
  /** Of its servers' tools, those it may use: `server/tool` with `*`. All of them when it is left out. */
  tools: z
    .array(z.string().refine(isToolPattern, 'must be server/tool, with * for any part of the tool'))
    .nullable()
    .default(null),
  outputTokensMax: z.number().int().min(1).max(agentOutputTokensMax).default(outputTokensDefault),
  stepsMax: z.number().int().min(1).max(turnStepsMax).default(turnStepsDefault),
})

const SkillMatter = z.strictObject({ name: z.string(), title: z.string(), description: z.string() })

export type Skill = z.output<typeof SkillMatter> & { readonly text: string }
export type Agent = z.output<typeof FrontMatter> & {
  readonly id: string
  /** Counts up with each change by its owner; 0 for a recipe, which changes with the installation. */
  readonly version: number
  readonly systemPrompt: string
  /** When the skills are for; empty when nothing is said. */
  readonly routing: string
  readonly skills: readonly Skill[]
}

export type AgentFiles = {
  readonly id: string
  readonly agent: string
  readonly skills: readonly string[]
  readonly routing?: string | undefined
}

/** Reads a recipe. Throws an Error naming the agent. */
export function parseAgent({ id, agent, skills, routing = '' }: AgentFiles): Agent {
  const { matter, body } = split(id, agent)
  const parsed = FrontMatter.safeParse(matter)
  if (!parsed.success) throw new Error(`agent ${id}: ${z.prettifyError(parsed.error)}`)
  return {
    id,
    version: 0,
    ...parsed.data,
    systemPrompt: body,
    routing: routing.trim(),
    skills: skills.map((text) => parseSkill(id, text)),
  }
}

function parseSkill(id: string, text: string): Skill {
  const { matter, body } = split(id, text)
  const parsed = SkillMatter.safeParse(matter)
  if (!parsed.success) throw new Error(`a skill of agent ${id}: ${z.prettifyError(parsed.error)}`)
  return { ...parsed.data, text: body }
}

function split(id: string, text: string): { matter: unknown; body: string } {
  const match = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(text)
  if (!match) throw new Error(`agent ${id}: a recipe begins with front matter between two lines of ---.`)
  return { matter: parse(match[1] ?? ''), body: (match[2] ?? '').trim() }
}
