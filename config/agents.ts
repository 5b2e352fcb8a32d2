// Agent recipes: a folder with `agent.md` (front matter and system prompt) and `skills/*.md`.
import { parse } from 'yaml'
import { z } from 'zod'
import { outputTokensDefault, turnStepsDefault, turnStepsMax } from '../domain/limits.ts'

const FrontMatter = z.strictObject({
  name: z.string().min(1),
  title: z.string().min(1),
  description: z.string(),
  model: z.string(),
  categories: z.array(z.string()).default([]),
  servers: z.array(z.string()).default([]),
  outputTokensMax: z.number().int().min(1).max(64_000).default(outputTokensDefault),
  stepsMax: z.number().int().min(1).max(turnStepsMax).default(turnStepsDefault),
})

const SkillMatter = z.strictObject({ name: z.string(), title: z.string(), description: z.string() })

export type Skill = z.output<typeof SkillMatter> & { readonly text: string }
export type Agent = z.output<typeof FrontMatter> & {
  readonly id: string
  readonly systemPrompt: string
  readonly skills: readonly Skill[]
}

export type AgentFiles = { readonly id: string; readonly agent: string; readonly skills: readonly string[] }

/** Reads a recipe. Throws an Error naming the agent. */
export function parseAgent({ id, agent, skills }: AgentFiles): Agent {
  const { matter, body } = split(id, agent)
  const parsed = FrontMatter.safeParse(matter)
  if (!parsed.success) throw new Error(`agent ${id}: ${z.prettifyError(parsed.error)}`)
  return { id, ...parsed.data, systemPrompt: body, skills: skills.map((text) => parseSkill(id, text)) }
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
