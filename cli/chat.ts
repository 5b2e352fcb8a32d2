// `gatehouse chat`: a message and its answer as it is written, or a conversation line by line. An interrupt ends the turn
// on the server too: leaving alone would not.
import { GatehouseError, type ChatStream, type Client, type SessionRef } from '../sdk/client.ts'
import { parseWords } from './arguments.ts'
import { createChatView, type ChatView } from './chat-view.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, exitCodeOfEvent, UsageError } from './exit-codes.ts'
import { printNote } from './output.ts'
import { openSignedIn } from './settings.ts'

export const chat: Command = {
  summary: 'talk to an agent',
  help: `Usage: gatehouse chat AGENT [MESSAGE] [--session ID] [--model NAME] [--scope ID] [--json] [--url URL]

Sends the message and prints the answer as it is written, with the tools it used and what it cost. Without a message
each line of the input is one, until the input ends or a line says /quit. The message - is the whole input as one.
Ctrl-C ends the turn; what it used so far is charged.

  --session ID   Goes on with a session; without it a new one is opened and its id printed.
  --model NAME   The model of a new session.
  --scope ID     The runtime scope that pays, and whose tool servers are used.
  --json         One event per line, as the server sends them; the first one names the session.

Examples:
  npx --no gatehouse chat assistant "add 2 and 40 with the tool"
  npx --no gatehouse chat assistant
  cat report.txt | npx --no gatehouse chat assistant -
  npx --no gatehouse chat assistant "and now?" --session 0198c1f2-4a6b-7c3d-8e9f-0a1b2c3d4e5f
  npx --no gatehouse chat assistant "hello" --json | jq -r 'select(.type == "text").data'`,
  async run(deps, args) {
    const options = { session: { type: 'string' }, model: { type: 'string' }, scope: { type: 'string' } } as const
    const { values, words } = parseWords(args, { words: ['AGENT', '[message]'], options })
    const [agentId = '', message] = words
    if (values.session !== undefined && values.model !== undefined)
      throw new UsageError('--model belongs to a new session; a session keeps its model.')
    if (message?.trim() === '') throw new UsageError('The message is empty.')
    const client = await openSignedIn(deps, values.url)
    const session =
      values.session === undefined
        ? await client.sessions.create(agentId, { model: values.model })
        : { id: values.session, agentId }
    const view = createChatView(deps, { json: values.json === true })
    view.session({ id: session.id, agentId, isNew: values.session === undefined })
    const talk: Talk = { deps, client, session: { id: session.id, agentId }, view, scopeId: values.scope }
    if (message === undefined) return converse(talk)
    return takeTurn(talk, message === '-' ? await wholeInput(deps) : message)
  },
}

type Talk = {
  readonly deps: CliDeps
  readonly client: Client
  readonly session: SessionRef
  readonly view: ChatView
  readonly scopeId: string | undefined
}

async function wholeInput(deps: CliDeps): Promise<string> {
  const lines: string[] = []
  for await (const line of deps.inputLines()) lines.push(line)
  const text = lines.join('\n').trim()
  if (text === '') throw new UsageError('The input is empty.')
  return text
}

// The exit code is that of the last turn: a script that pipes one line in sees its fate.
async function converse(talk: Talk): Promise<number> {
  const { deps } = talk
  let code: number = exitCodes.ok
  const prompt = () => (deps.isInputTty ? deps.err('you> ') : undefined)
  prompt()
  for await (const line of deps.inputLines()) {
    if (line.trim() === '/quit') break
    if (line.trim() !== '') code = await takeTurn(talk, line)
    if (code === exitCodes.cancelled) return code
    prompt()
  }
  return deps.signal.aborted ? exitCodes.cancelled : code
}

async function takeTurn(talk: Talk, message: string): Promise<number> {
  const { deps, client, session, view, scopeId } = talk
  const stream = client.chat(session, message, { signal: deps.signal, scopeId })
  try {
    let code: number = exitCodes.unexpected
    for await (const event of stream) {
      view.event(event)
      if (event.type === 'done') code = exitCodes.ok
      if (event.type === 'error') code = exitCodeOfEvent(event.data.code)
    }
    return code
  } catch (error) {
    view.broken()
    if (!deps.signal.aborted) throw error
    await cancel(talk, stream)
    return exitCodes.cancelled
  }
}

async function cancel({ deps, client, session }: Talk, stream: ChatStream): Promise<void> {
  if (stream.turnId === undefined) {
    printNote(deps, 'Interrupted before the server took the message, or while it did: see the session.')
    return
  }
  try {
    await client.cancel(session, stream.turnId)
    printNote(deps, 'The turn is cancelled.')
  } catch (error) {
    if (!(error instanceof GatehouseError)) throw error
    const over = error.status === 409 || error.status === 404
    printNote(deps, over ? 'The turn had already ended.' : `The turn may go on: ${error.message}`)
  }
}
