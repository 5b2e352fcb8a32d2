// `gatehouse agents`: the catalogue and one agent of it.
import type { Agent } from '../sdk/client.ts'
import { parseWords } from './arguments.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes } from './exit-codes.ts'
import { printFacts, printJson, printLine, printTable } from './output.ts'
import { openClient } from './settings.ts'

export const agents: Command = {
  summary: 'list the agents, describe one',
  help: `Usage: gatehouse agents [list] [--json] [--url URL]
       gatehouse agents describe ID [--json] [--url URL]

Nobody needs to be signed in.

Examples:
  npx --no gatehouse agents
  npx --no gatehouse agents describe assistant
  npx --no gatehouse agents --json`,
  async run(deps, args) {
    if (args[0] === 'describe') return describe(deps, args.slice(1))
    return list(deps, args[0] === 'list' ? args.slice(1) : args)
  },
}

async function list(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, {})
  const found = await (await openClient(deps, values.url)).agents.list()
  if (values.json === true) printJson(deps, { agents: found })
  else {
    printTable(deps, {
      headings: ['id', 'model', 'skills', 'description'],
      rows: found.map((agent) => [
        agent.id,
        agent.model ?? '',
        String(agent.skillsCount ?? 0),
        agent.description ?? agent.title ?? agent.name,
      ]),
      empty: 'There are no agents here.',
    })
  }
  return exitCodes.ok
}

async function describe(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['ID'] })
  const agent = await (await openClient(deps, values.url)).agents.get(words[0] ?? '')
  if (values.json === true) printJson(deps, agent)
  else print(deps, agent)
  return exitCodes.ok
}

function print(deps: CliDeps, agent: Agent): void {
  printLine(deps, agent.title ?? agent.name, 'bold')
  if (agent.description) printLine(deps, agent.description)
  const { pricing } = agent
  printFacts(deps, [
    ['id', agent.id],
    ['model', agent.model],
    ['price', pricing?.description ?? pricing?.type],
    ['categories', agent.categories?.join(', ')],
  ])
  for (const [title, things] of [
    ['Tools', agent.tools],
    ['Skills', agent.skills],
  ] as const) {
    if (things.length === 0) continue
    printLine(deps, `\n${title}`, 'bold')
    printFacts(
      deps,
      things.map((thing) =>
        typeof thing === 'string' ? [`  ${thing}`, ' '] : [`  ${thing.name}`, thing.description ?? ' '],
      ),
    )
  }
}
