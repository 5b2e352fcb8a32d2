// `gatehouse agents own|create|update|show|verify|delete`: agents of the person's own. A definition is a JSON file; long
// texts may stand in files of their own.
import type { AgentDefinition, Client, CustomAgent } from '../sdk/client.ts'
import { pageOf, pageOptions, parseWords } from './arguments.ts'
import type { CliDeps } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { printFacts, printJson, printLine, printTable } from './output.ts'
import { openSignedIn } from './settings.ts'

type Run = (deps: CliDeps, args: readonly string[]) => Promise<number>

export const ownAgents: Readonly<Record<string, Run>> = {
  own: list,
  create: (deps, args) => save(deps, args, 'create'),
  update: (deps, args) => save(deps, args, 'update'),
  show,
  verify,
  delete: remove,
}

async function list(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, { options: pageOptions })
  const agents = await (await openSignedIn(deps, values.url)).agents.own(pageOf(values))
  if (values.json === true) printJson(deps, { agents })
  else {
    printTable(deps, {
      headings: ['id', 'version', 'title'],
      rows: agents.map(({ agentId, version, title, name }) => [agentId, String(version), title ?? name]),
      empty: 'You have made no agents.',
    })
  }
  return exitCodes.ok
}

const files = { prompt: { type: 'string' }, routing: { type: 'string' } } as const

async function save(deps: CliDeps, args: readonly string[], verb: 'create' | 'update'): Promise<number> {
  const { values, words } = parseWords(args, { words: ['FILE'], options: files })
  const definition = {
    ...definitionOf(await read(deps, words[0] ?? ''), words[0] ?? ''),
    ...(values.prompt === undefined ? {} : { systemPrompt: await read(deps, values.prompt) }),
    ...(values.routing === undefined ? {} : { routing: await read(deps, values.routing) }),
  }
  const client = await openSignedIn(deps, values.url)
  if (verb === 'update') await known(client, definition.id)
  const saved = await client.agents.save(definition)
  if (values.json === true) printJson(deps, saved)
  else {
    printLine(deps, `${saved.agentId}, version ${saved.version ?? 1}.`)
    printLine(deps, `Talk to it: npx --no gatehouse chat ${saved.agentId}`)
  }
  return exitCodes.ok
}

// To update is to mean what is there: a misspelt id would make another agent. Only whole ids can be looked up.
async function known(client: Client, id: string): Promise<void> {
  await client.agents.definition(id)
}

async function read(deps: CliDeps, file: string): Promise<string> {
  const found = await deps.readFile(deps.absolute(file))
  if (found === undefined) throw new UsageError(`There is no file ${file}.`)
  return found.text
}

function definitionOf(text: string, file: string): AgentDefinition {
  try {
    const read: unknown = JSON.parse(text)
    if (typeof read === 'object' && read !== null && typeof (read as { id?: unknown }).id === 'string')
      return read as AgentDefinition
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  throw new UsageError(`${file} holds no definition: an object with id and name.`)
}

async function show(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['ID'] })
  const agent = await (await openSignedIn(deps, values.url)).agents.definition(words[0] ?? '')
  if (values.json === true) printJson(deps, agent)
  else printAgent(deps, agent)
  return exitCodes.ok
}

function printAgent(deps: CliDeps, { agentId, version, definition, tools }: CustomAgent): void {
  const { name, title, description, model, systemPrompt } = definition as Partial<AgentDefinition>
  printLine(deps, title ?? name ?? agentId, 'bold')
  if (description !== undefined) printLine(deps, description)
  printFacts(deps, [
    ['id', agentId],
    ['version', String(version)],
    ['model', model],
    ['tools', tools.map(nameOf).join(', ')],
  ])
  if (systemPrompt !== undefined && systemPrompt !== '') printLine(deps, `\n${systemPrompt}`)
}

const nameOf = (tool: CustomAgent['tools'][number]) => (typeof tool === 'string' ? tool : tool.name)

/** What keeps an agent from working as its definition says; nothing when it is ready. */
async function verify(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['ID'] })
  const client = await openSignedIn(deps, values.url)
  const id = words[0] ?? ''
  const agent = await client.agents.definition(id)
  const { servers } = await client.agents.requirements(id)
  const faults = [
    ...servers.flatMap(({ serverId, missing = [] }) => missing.map((key) => `${serverId} misses ${key}.`)),
    ...servers
      .filter(({ serverId }) => !hasToolOf(agent, serverId))
      .map(({ serverId }) => `${serverId} shows no tool.`),
  ]
  if (values.json === true) printJson(deps, { agentId: id, ready: faults.length === 0, faults })
  else for (const line of faults.length === 0 ? [`${id} is ready.`] : faults) printLine(deps, line)
  return faults.length === 0 ? exitCodes.ok : exitCodes.refused
}

const hasToolOf = ({ tools }: CustomAgent, server: string) =>
  tools.some((tool) => nameOf(tool).startsWith(`${server}__`))

async function remove(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['ID'] })
  await (await openSignedIn(deps, values.url)).agents.delete(words[0] ?? '')
  if (values.json === true) printJson(deps, { success: true })
  else printLine(deps, 'The agent is forgotten.')
  return exitCodes.ok
}
