// `gatehouse budget`: limits of what a wallet spends, in all or for a scope, an agent, a session or reflection.
import { formatMicros } from '../sdk/client.ts'
import { parseWords, subcommandOf } from './arguments.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { printJson, printLine, printTable } from './output.ts'
import { openSignedIn } from './settings.ts'

const kinds = ['wallet', 'scope', 'agent', 'session', 'reflection'] as const
const periods = ['daily', 'weekly', 'monthly', 'total'] as const

export const budget: Command = {
  summary: 'limits of spending: list, set, remove',
  help: `Usage: gatehouse budget list [--json] [--url URL]
       gatehouse budget set <KIND> <ID> <PERIOD> <USD> [--json] [--url URL]
       gatehouse budget remove <KIND> <ID> <PERIOD> [--json] [--url URL]

KIND is wallet, scope, agent, session or reflection (what a wallet spends on improving itself); ID is the wallet's
address, or the id of the others. PERIOD is daily (UTC), weekly (the last 7 days), monthly (the
last 30) or total. What a limit does not cover is refused before it starts.

Examples:
  npx --no gatehouse budget set agent assistant daily 0.50
  npx --no gatehouse budget remove agent assistant daily
  npx --no gatehouse budget list --json`,
  async run(deps, args) {
    const [name, rest] = subcommandOf(args, ['list', 'set', 'remove'])
    if (name === 'list') return listBudgets(deps, rest)
    return name === 'set' ? setBudget(deps, rest) : removeBudget(deps, rest)
  },
}

/** The table of limits. */
export async function listBudgets(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, {})
  const budgets = await (await openSignedIn(deps, values.url)).wallet.budgets.list()
  if (values.json === true) printJson(deps, { budgets })
  else
    printTable(deps, {
      headings: ['kind', 'id', 'period', 'limit', 'spent', 'reserved'],
      rows: budgets.map(({ subject, period, limitMicroUsd, spentMicroUsd, reservedMicroUsd }) => [
        subject.kind,
        subject.id,
        period,
        ...[limitMicroUsd, spentMicroUsd, reservedMicroUsd].map(formatMicros),
      ]),
      empty: 'There is no budget: the balance is the only limit.',
    })
  return exitCodes.ok
}

async function setBudget(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['KIND', 'ID', 'PERIOD', 'USD'] })
  const limit = microsOf(words[3] ?? '')
  const subject = { kind: oneOf('KIND', kinds, words[0]), id: words[1] ?? '' }
  const period = oneOf('PERIOD', periods, words[2])
  const set = await (await openSignedIn(deps, values.url)).wallet.budgets.set(subject, period, limit)
  if (values.json === true) printJson(deps, set)
  else
    printLine(
      deps,
      `${set.subject.kind} ${set.subject.id}: ${formatMicros(set.limitMicroUsd)} ${set.period}, ${formatMicros(set.spentMicroUsd)} of it spent.`,
    )
  return exitCodes.ok
}

async function removeBudget(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['KIND', 'ID', 'PERIOD'] })
  const subject = { kind: oneOf('KIND', kinds, words[0]), id: words[1] ?? '' }
  await (await openSignedIn(deps, values.url)).wallet.budgets.remove(subject, oneOf('PERIOD', periods, words[2]))
  if (values.json === true) printJson(deps, { removed: true })
  else printLine(deps, 'Removed.')
  return exitCodes.ok
}

function oneOf<T extends string>(name: string, known: readonly T[], word: string | undefined): T {
  const found = known.find((each) => each === word)
  if (found === undefined) throw new UsageError(`<${name}> is one of ${known.join(', ')}.`)
  return found
}

/** `0.5` → `500000`; no more than six decimals, nothing rounded. */
export function microsOf(text: string): string {
  const match = /^\$?(\d{1,11})(?:\.(\d{1,6}))?$/.exec(text)
  if (!match) throw new UsageError('<USD> is an amount such as 0.50, with up to six decimals.')
  return BigInt(`${match[1]}${(match[2] ?? '').padEnd(6, '0')}`).toString()
}
