// `gatehouse resume`: back to a session, and to the turn that runs in it.
import { resumeMessagesShown } from '../domain/limits.ts'
import { GatehouseError, type Client, type Session } from '../sdk/client.ts'
import { parseWords } from './arguments.ts'
import { converse } from './conversation.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes } from './exit-codes.ts'
import { printLine } from './output.ts'
import { openSignedIn } from './settings.ts'
import { openTalk } from './talk.ts'
import { askedBefore, printTranscript } from './transcript.ts'
import { followTurn, type Talk } from './turn.ts'

export const resume: Command = {
  summary: 'come back to a session and its running turn',
  help: `Usage: gatehouse resume [SESSION] [--scope ID] [--json] [--url URL]

Shows what was said last, and reads the turn that runs until it ends. On a terminal the conversation then goes on;
elsewhere the command ends with the exit code of that turn. Without SESSION it is the one that was active last.

  --scope ID   The runtime scope that pays for further messages.
  --json       One event per line, and no transcript; sessions show has it.

Examples:
  npx --no gatehouse resume
  npx --no gatehouse resume 0198c1f2-4a6b-7c3d-8e9f-0a1b2c3d4e5f
  npx --no gatehouse resume --json | jq -r 'select(.type == "text").data'`,
  async run(deps, args) {
    const { values, words } = parseWords(args, { words: ['[session]'], options: { scope: { type: 'string' } } })
    const client = await openSignedIn(deps, values.url)
    const session = await client.sessions.get(words[0] ?? (await latest(client)))
    const json = values.json === true
    const talk = openTalk(deps, { client, session, json, url: values.url, scopeId: values.scope })
    talk.view.session({ id: session.id, agentId: session.agentId, isNew: false })
    const code = await takeUp(talk, session, { json })
    if (!deps.isInputTty || code === exitCodes.cancelled) return code
    return converse(talk, { history: askedBefore(session.messages), code, json })
  },
}

async function latest(client: Client) {
  const [session] = await client.sessions.list({ limit: 1 })
  if (session) return { id: session.id, agentId: session.agentId }
  throw new GatehouseError('There are no sessions yet.', { status: 404, code: 'NOT_FOUND' })
}

/** Shows what was said, then reads what runs, turn after turn, until nothing does. Returns the last turn's exit code. */
export async function takeUp(talk: Talk, session: Session, { json }: { readonly json: boolean }): Promise<number> {
  if (!json) printLatest(talk.deps, session)
  let code: number = exitCodes.ok
  const seen = new Set<string>()
  for (let turn = session.currentTurn; turn && !seen.has(turn.turnId);) {
    const { turnId } = turn
    seen.add(turnId)
    const outcome = await followTurn(talk, (signal) => talk.client.watch(talk.session, turnId, { signal }))
    code = outcome.exitCode
    if (outcome.state === 'left' || talk.deps.signal.aborted) return code
    turn = (await talk.client.sessions.get(talk.session)).currentTurn
  }
  return code
}

function printLatest(deps: CliDeps, { id, agentId, messages, currentTurn }: Session): void {
  printLine(deps, `Session ${id} with ${agentId}`, 'dim')
  const earlier = messages.length - resumeMessagesShown
  if (earlier > 0) printLine(deps, `${earlier} earlier: npx --no gatehouse sessions show ${id}`, 'dim')
  printTranscript(deps, messages.slice(-resumeMessagesShown))
  if (currentTurn) printLine(deps, '\nassistant', 'bold')
}
