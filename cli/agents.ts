// `gatehouse agents`: the catalogue, one agent of it, and agents of the person's own.
import type { Agent } from '../sdk/client.ts'
import { parseWords } from './arguments.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes } from './exit-codes.ts'
import { printFacts, printJson, printLine, printTable } from './output.ts'
import { ownAgents } from './own-agents.ts'
import { openClient } from './settings.ts'

export const agents: Command = {
  summary: 'list the agents, describe one; make your own',
  help: `Usage: gatehouse agents [list] [--json] [--url URL]
       gatehouse agents describe ID [--json] [--url URL]
       gatehouse agents own [--limit N] [--offset N] [--json] [--url URL]
       gatehouse agents create <FILE> [--prompt FILE] [--routing FILE] [--json] [--url URL]
       gatehouse agents update <FILE> [--prompt FILE] [--routing FILE] [--json] [--url URL]
       gatehouse agents show|verify|delete <ID> [--json] [--url URL]

Nobody needs to be signed in to list and describe. create reads a definition in JSON, such as
  {"id": "clerk", "name": "Clerk", "mcp_servers": ["everything"], "systemPrompt": "You are brief."}
and gives it an id with a suffix of your own; update takes that whole id. --prompt and --routing read the system prompt
and the text that says when the skills are for. verify says what keeps an agent from working.

Examples:
  npx --no gatehouse agents
  npx --no gatehouse agents describe assistant
  npx --no gatehouse agents --json
  npx --no gatehouse agents create clerk.json --prompt clerk.md`,
  async run(deps, args) {
    if (args[0] === 'describe') return describe(deps, args.slice(1))
    const own = Object.hasOwn(ownAgents, args[0] ?? '') ? ownAgents[args[0] ?? ''] : undefined
    if (own) return own(deps, args.slice(1))
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
