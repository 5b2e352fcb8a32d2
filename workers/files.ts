// Data files of the installation, read once at start: agents, prices, policy, tool servers, Temporal settings.
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAgent, type Agent } from '../config/agents.ts'
import { compilePolicy } from '../config/policy/compile.ts'
import { compileCondition } from '../gateway/expression/compile.ts'
import { offeredPrices, parsePrices, type PriceTable } from '../config/prices.ts'
import { parseTemporalSettings, type TemporalSettings } from '../config/temporal.ts'
import { parseToolCatalogue } from '../config/tools.ts'
import { policySet, type PolicySet } from '../domain/policy/combine.ts'
import type { ToolCatalogue } from '../schemas/tool.ts'

/** The folder of the clone, from `workers/` or from `dist/workers/`. */
export const root = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '..' : '../..', import.meta.url))

const text = (path: string) => readFile(join(root, path), 'utf8')

/** Every recipe below `agents/`. */
export async function readAgents(): Promise<ReadonlyMap<string, Agent>> {
  const entries = await readdir(join(root, 'agents'), { withFileTypes: true })
  const agents = await Promise.all(entries.filter((entry) => entry.isDirectory()).map((entry) => readAgent(entry.name)))
  return new Map(agents.map((agent) => [agent.id, agent]))
}

async function readAgent(id: string): Promise<Agent> {
  const names = await readdir(join(root, 'agents', id, 'skills')).catch(() => [])
  const skills = names.filter((name) => name.endsWith('.md')).toSorted()
  return parseAgent({
    id,
    agent: await text(join('agents', id, 'agent.md')),
    skills: await Promise.all(skills.map((name) => text(join('agents', id, 'skills', name)))),
  })
}

/** The price table as this installation offers it; whole without a kind. */
export async function readPrices(kind?: 'scripted' | 'anthropic'): Promise<PriceTable> {
  const table = parsePrices(await text('policy/prices.yaml'))
  return kind === undefined ? table : offeredPrices(table, kind)
}

/** The policy of the clone, as the active set. */
export async function readPolicy(): Promise<PolicySet> {
  const name = 'policy/default.yaml'
  const { policyId, version, rules } = compilePolicy(name, await text(name), compileCondition)
  return policySet({ policyId, version, epoch: 1, rules })
}

export const readTemporalSettings = async (): Promise<TemporalSettings> =>
  parseTemporalSettings(await text('temporal.yaml'))

/** Tool servers, with the variables of this machine filled in. */
export async function readToolCatalogue(toolsUrl: string | undefined): Promise<ToolCatalogue> {
  const resolve = createRequire(import.meta.url).resolve
  const everything = join(resolve('@modelcontextprotocol/server-everything/package.json'), '..', 'dist', 'index.js')
  return parseToolCatalogue(await text('policy/tools.yaml'), { node: process.execPath, everything, toolsUrl })
}
