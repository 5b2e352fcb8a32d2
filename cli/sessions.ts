// `gatehouse sessions`: what was said, and forgetting it.
import type { SessionName, Session } from '../sdk/client.ts'
import { pageOf, pageOptions, parseWords, subcommandOf } from './arguments.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes } from './exit-codes.ts'
import { printFacts, printJson, printLine, timeOf } from './output.ts'
import { resume } from './resume.ts'
import { printSessions } from './sessions-table.ts'
import { openSignedIn } from './settings.ts'
import { printTranscript } from './transcript.ts'

export const sessions: Command = {
  summary: 'list, show, resume and delete sessions',
  help: `Usage: gatehouse sessions [list] [--agent ID] [--limit N] [--offset N] [--json] [--url URL]
       gatehouse sessions show ID [--agent ID] [--json] [--url URL]
       gatehouse sessions resume [ID] [--scope ID] [--json] [--url URL]
       gatehouse sessions delete ID [--agent ID] [--json] [--url URL]

resume is the command of that name. Deleting ends what runs in the session and purges what was said.

  --agent ID   Only this agent's sessions; with show and delete it saves a look-up.

Examples:
  npx --no gatehouse sessions
  npx --no gatehouse sessions show 0198c1f2-4a6b-7c3d-8e9f-0a1b2c3d4e5f
  npx --no gatehouse sessions delete 0198c1f2-4a6b-7c3d-8e9f-0a1b2c3d4e5f`,
  async run(deps, args) {
    const bare = args[0] === undefined || args[0].startsWith('-')
    const [name, rest] = bare ? (['list', args] as const) : subcommandOf(args, ['list', 'show', 'resume', 'delete'])
    if (name === 'list') return list(deps, rest)
    if (name === 'resume') return resume.run(deps, rest)
    return name === 'show' ? show(deps, rest) : remove(deps, rest)
  },
}

const agentOption = { agent: { type: 'string' } } as const

async function list(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, { options: { ...pageOptions, ...agentOption } })
  const client = await openSignedIn(deps, values.url)
  const found = await client.sessions.list({ ...pageOf(values), agentId: values.agent })
  if (values.json === true) printJson(deps, { sessions: found })
  else printSessions(deps, found)
  return exitCodes.ok
}

const nameOf = (id: string, agentId: string | undefined): SessionName => (agentId === undefined ? id : { id, agentId })

async function show(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['ID'], options: agentOption })
  const session = await (await openSignedIn(deps, values.url)).sessions.get(nameOf(words[0] ?? '', values.agent))
  if (values.json === true) printJson(deps, session)
  else print(deps, session)
  return exitCodes.ok
}

async function remove(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['ID'], options: agentOption })
  const id = words[0] ?? ''
  await (await openSignedIn(deps, values.url)).sessions.delete(nameOf(id, values.agent))
  if (values.json === true) printJson(deps, { deleted: id })
  else printLine(deps, `Session ${id} is deleted.`)
  return exitCodes.ok
}

function print(deps: CliDeps, session: Session): void {
  printFacts(deps, [
    ['session', session.id],
    ['agent', session.agentId],
    ['model', session.model],
    ['created', `${timeOf(session.createdAt)} UTC`],
  ])
  printTranscript(deps, session.messages)
}
