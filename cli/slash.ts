// Words a person types to us in a conversation, and not to the agent. What they print goes beside the answers.
import { formatMicros } from '../sdk/client.ts'
import { exitCodes } from './exit-codes.ts'
import { printNote } from './output.ts'
import { printSessions } from './sessions-table.ts'
import type { Talk } from './turn.ts'

const sessionsShown = 10

type Slash = { readonly summary: string; readonly run: (talk: Talk) => Promise<void> | void }

const words: Readonly<Record<string, Slash>> = {
  '/help': { summary: 'these words', run: help },
  '/cost': { summary: 'what this conversation has cost here, and what is left', run: cost },
  '/sessions': { summary: 'your latest sessions', run: sessions },
  '/quit': { summary: 'leave; Ctrl-D does the same', run: () => undefined },
}

/** A line that begins with one slash; with two it is a message that begins with one. */
export function isSlashCommand(line: string): boolean {
  return /^\s*\/(?!\/)/.test(line)
}

/** Does what the word says; an unknown one is told, and nothing is sent. */
export async function runSlashCommand(talk: Talk, line: string): Promise<number> {
  const word = Object.hasOwn(words, line) ? words[line] : undefined
  if (word) await word.run(talk)
  else printNote(talk.deps, `There is no ${line.split(/\s/, 1)[0]}; /help lists the words. To send it, begin with //.`)
  return exitCodes.ok
}

function help({ deps }: Talk): void {
  for (const [word, { summary }] of Object.entries(words)) printNote(deps, `${word.padEnd(10)}  ${summary}`)
  printNote(
    deps,
    'Ctrl-C cancels the turn that runs; a second one leaves it running. //… sends a line that begins with /.',
  )
}

async function cost({ deps, client, tally }: Talk): Promise<void> {
  const turns = `${tally.turns} ${tally.turns === 1 ? 'turn' : 'turns'}`
  const { availableBalance } = await client.wallet.balance()
  printNote(
    deps,
    `${turns} here for ${formatMicros(String(tally.costMicros))}; ${formatMicros(availableBalance)} left.`,
  )
}

async function sessions({ deps, client }: Talk): Promise<void> {
  const found = await client.sessions.list({ limit: sessionsShown })
  printSessions({ ...deps, out: deps.err, hasColours: false }, found)
  printNote(deps, 'Go on with one: npx --no gatehouse resume ID')
}
