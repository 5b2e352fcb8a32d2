// `gatehouse chat`: a message and its answer as it is written, or a conversation line by line.
import type { Client, SessionRef } from '../sdk/client.ts'
import { parseWords } from './arguments.ts'
import { converse, sendMessage } from './conversation.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { readImages } from './images.ts'
import { takeUp } from './resume.ts'
import { openSignedIn } from './settings.ts'
import { openTalk } from './talk.ts'
import { askedBefore } from './transcript.ts'
import type { Talk } from './turn.ts'

export const chat: Command = {
  summary: 'talk to an agent',
  help: `Usage: gatehouse chat [AGENT] [MESSAGE] [--session ID] [--model NAME] [--image FILE]… [--scope ID] [--json] [--url URL]

Sends the message and prints the answer as it is written, with the tools it used and what it cost. Without a message
each line of the input is one, until the input ends or a line says /quit; on a terminal /help lists further words. The
message - is the whole input as one. AGENT may be left out where there is only one, and with --session.

Ctrl-C cancels the turn at the gateway; what it used so far is charged. A second one leaves it running and says the
command that comes back to it.

  --session ID   Goes on with a session; without it a new one is opened and its id printed.
  --model NAME   The model of a new session.
  --image FILE   A JPEG, PNG or WebP image of the first message; may be given again.
  --scope ID     The runtime scope that pays, and whose tool servers are used.
  --json         One event per line, as the server sends them; the first line names the session, the last of a turn
                 how it ended.

Examples:
  npx --no gatehouse chat assistant "add 2 and 40 with the tool"
  npx --no gatehouse chat
  cat report.txt | npx --no gatehouse chat assistant -
  npx --no gatehouse chat assistant "what is this?" --image photo.png
  npx --no gatehouse chat assistant "and now?" --session 0198c1f2-4a6b-7c3d-8e9f-0a1b2c3d4e5f
  npx --no gatehouse chat assistant "hello" --json | jq -r 'select(.type == "text").data'`,
  run,
}

const options = {
  session: { type: 'string' },
  model: { type: 'string' },
  image: { type: 'string', multiple: true },
  scope: { type: 'string' },
} as const

async function run(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['[agent]', '[message]'], options })
  const [agentId, message] = words
  if (values.session !== undefined && values.model !== undefined)
    throw new UsageError('--model belongs to a new session; a session keeps its model.')
  if (message?.trim() === '') throw new UsageError('The message is empty.')
  const images = await readImages(deps, values.image ?? [])
  const client = await openSignedIn(deps, values.url)
  const session = await sessionOf(client, { agentId, sessionId: values.session, model: values.model })
  const json = values.json === true
  const talk = openTalk(deps, { client, session, json, url: values.url, scopeId: values.scope })
  talk.view.session({ ...talk.session, isNew: values.session === undefined })
  if (message === '-') return sendMessage(talk, await wholeInput(deps), images)
  if (message !== undefined) return sendMessage(talk, message, images)
  if (values.session === undefined || !deps.isInputTty) return converse(talk, { images, json })
  const before = await comeBack(talk, { json })
  return before.code === exitCodes.cancelled ? before.code : converse(talk, { ...before, images, json })
}

// Before they type, people see where they are.
async function comeBack(talk: Talk, { json }: { readonly json: boolean }) {
  const session = await talk.client.sessions.get(talk.session)
  return { code: await takeUp(talk, session, { json }), history: askedBefore(session.messages) }
}

type Wanted = Readonly<Record<'agentId' | 'sessionId' | 'model', string | undefined>>

async function sessionOf(client: Client, { agentId, sessionId, model }: Wanted): Promise<SessionRef> {
  if (sessionId === undefined) return client.sessions.create(agentId ?? (await onlyAgent(client)), { model })
  return agentId === undefined ? client.sessions.get(sessionId) : { id: sessionId, agentId }
}

async function onlyAgent(client: Client): Promise<string> {
  const agents = await client.agents.list()
  const [first] = agents
  if (first !== undefined && agents.length === 1) return first.id
  const there = agents.length === 0 ? 'there are no agents' : `there are ${agents.map(({ id }) => id).join(', ')}`
  throw new UsageError(`<AGENT> is missing; ${there}.`)
}

async function wholeInput(deps: CliDeps): Promise<string> {
  const lines: string[] = []
  for await (const line of deps.inputLines()) lines.push(line)
  const text = lines.join('\n').trim()
  if (text === '') throw new UsageError('The input is empty.')
  return text
}
