// Data files of the installation, read once at start: agents, prices, tool servers, Temporal settings; and how
// policies are compiled and where they lie.
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAgent, type Agent } from '../config/agents.ts'
import type { Config } from '../config/load.ts'
import { compilePolicy } from '../config/policy/compile.ts'
import { parsePolicyTable } from '../config/policy/table.ts'
import { PolicyError } from '../config/policy/yaml.ts'
import { compileCondition } from '../gateway/expression/compile.ts'
import { offeredPrices, parsePrices, type PriceTable } from '../config/prices.ts'
import { parseTemporalSettings, type TemporalSettings } from '../config/temporal.ts'
import { parseToolCatalogue } from '../config/tools.ts'
import type { CompilePolicy } from '../gateway/policies.ts'
import type { ParseTable } from '../gateway/policy-question.ts'
import type { ToolCatalogue } from '../schemas/tool.ts'
import type { PolicyFolder } from './policy-files.ts'

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
    routing: await text(join('agents', id, 'claude-routing.md')).catch(() => ''),
    skills: await Promise.all(skills.map((name) => text(join('agents', id, 'skills', name)))),
  })
}

/** The price table as this installation offers it; whole without a kind. */
export async function readPrices(kind?: 'scripted' | 'anthropic'): Promise<PriceTable> {
  const table = parsePrices(await text('policy/prices.yaml'))
  return kind === undefined ? table : offeredPrices(table, kind)
}

/** Compiles the text of a policy of any form, or names its faults. */
export const compilePolicyText: CompilePolicy = (name, policy) => {
  try {
    return { policy: compilePolicy(name, policy, compileCondition) }
  } catch (error) {
    if (error instanceof PolicyError) return { faults: error.faults }
    throw error
  }
}

/** Parses a table of tests of policies, or names its faults. */
export const parsePolicyTests: ParseTable = (name, table) => {
  try {
    return { table: parsePolicyTable(name, table) }
  } catch (error) {
    if (error instanceof PolicyError) return { faults: error.faults }
    throw error
  }
}

/** Where policies are written: the clone, and in development the state folder as well. */
export function policyFolders({ environment, stateDir }: Pick<Config, 'environment' | 'stateDir'>): PolicyFolder[] {
  const own = { path: join(stateDir, 'policy'), label: 'own' }
  return [{ path: join(root, 'policy'), label: 'policy' }, ...(environment === 'development' ? [own] : [])]
}

export const readTemporalSettings = async (): Promise<TemporalSettings> =>
  parseTemporalSettings(await text('temporal.yaml'))

/** Tool servers, with the variables of this machine filled in. */
export async function readToolCatalogue(toolsUrl: string | undefined): Promise<ToolCatalogue> {
  const resolve = createRequire(import.meta.url).resolve
  const everything = join(resolve('@modelcontextprotocol/server-everything/package.json'), '..', 'dist', 'index.js')
  return parseToolCatalogue(await text('policy/tools.yaml'), { node: process.execPath, everything, toolsUrl })
}
