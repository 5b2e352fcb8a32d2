// `gatehouse wallet`: what can be spent and what was.
import { formatMicros } from '../sdk/client.ts'
import { pageOf, pageOptions, parseWords, subcommandOf } from './arguments.ts'
import { listBudgets } from './budget.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { printFacts, printJson, printLine, printTable, timeOf } from './output.ts'
import { openSignedIn } from './settings.ts'

export const wallet: Command = {
  summary: 'balance, transactions, settings, budgets, play money',
  help: `Usage: gatehouse wallet balance [--json] [--url URL]
       gatehouse wallet transactions [--type TYPE] [--agent ID] [--since TIME] [--until TIME] [--limit N] [--offset N]
                                     [--json] [--url URL]
       gatehouse wallet settings [NAME=VALUE …] [--json] [--url URL]
       gatehouse wallet budgets [--json] [--url URL]
       gatehouse wallet faucet [--json] [--url URL]      play money, once per wallet (development)

TYPE is spend, deposit, withdrawal or another type of the history. TIME is ISO 8601, such as 2026-11-01T00:00:00Z.
A VALUE that is JSON is taken as such (true, 30; null unsets), any other as text.
Limits are set with: gatehouse budget set.

With --json amounts are whole micro-USD as text: "2800" is $0.0028.

Examples:
  npx --no gatehouse wallet balance
  npx --no gatehouse wallet transactions --limit 20
  npx --no gatehouse wallet transactions --type spend --agent assistant
  npx --no gatehouse wallet settings defaultModel=haiku minimumBalanceMicroUsd=1000000
  npx --no gatehouse wallet balance --json`,
  async run(deps, args) {
    const [name, rest] = subcommandOf(args, ['balance', 'transactions', 'settings', 'budgets', 'faucet'])
    if (name === 'balance') return balance(deps, rest)
    if (name === 'settings') return settings(deps, rest)
    if (name === 'budgets') return listBudgets(deps, rest)
    return name === 'transactions' ? transactions(deps, rest) : faucet(deps, rest)
  },
}

async function balance(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, {})
  const found = await (await openSignedIn(deps, values.url)).wallet.balance()
  const amount = (text: string | undefined) => (text === undefined || text === '0' ? undefined : formatMicros(text))
  if (values.json === true) printJson(deps, found)
  else {
    printFacts(deps, [
      ['available', formatMicros(found.availableBalance)],
      ['reserved', amount(found.reserved)],
      ['unsettled', amount(found.unsettledSpend)],
      ['withdrawing', amount(found.pendingWithdrawals)],
      ['wallet', found.walletAddress],
      ['deposit to', found.depositAddress],
    ])
  }
  return exitCodes.ok
}

const text = { type: 'string' } as const
const historyOptions = { ...pageOptions, type: text, agent: text, since: text, until: text } as const

async function transactions(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, { options: historyOptions })
  const { type, agent: agentId, since, until } = values
  const order = { ...pageOf(values), type, agentId, since, until }
  const page = await (await openSignedIn(deps, values.url)).wallet.transactions(order)
  if (values.json === true) {
    printJson(deps, page)
    return exitCodes.ok
  }
  // Servers that say no balance beside each entry leave no empty column.
  const hasBalance = page.transactions.some((row) => typeof row.balance === 'string')
  printTable(deps, {
    headings: ['time (UTC)', 'type', 'amount', ...(hasBalance ? ['balance'] : []), 'agent'],
    rows: page.transactions.map((row) => [
      timeOf(row.createdAt ?? row.timestamp),
      row.type,
      formatMicros(row.amount),
      ...(hasBalance ? [typeof row.balance === 'string' ? formatMicros(row.balance) : ''] : []),
      row.agentId ?? '',
    ]),
    empty: 'Nothing was spent or paid in yet.',
  })
  if (page.hasMore) printLine(deps, `${page.transactions.length} of ${page.total}; go on with --offset.`, 'dim')
  return exitCodes.ok
}

async function settings(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: Array.from({ length: 50 }, () => '[NAME=VALUE]') })
  const change = Object.fromEntries(words.map(settingOf))
  const { wallet: mine } = await openSignedIn(deps, values.url)
  const found = words.length === 0 ? await mine.settings.get() : await mine.settings.set(change)
  if (values.json === true) printJson(deps, found)
  else
    printFacts(
      deps,
      Object.entries(found).map(([name, value]) => [name, value === null ? null : textOf(value)]),
    )
  return exitCodes.ok
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

function settingOf(word: string): [string, unknown] {
  const cut = word.indexOf('=')
  if (cut < 1) throw new UsageError(`"${word}" is no NAME=VALUE.`)
  const value = word.slice(cut + 1)
  try {
    return [word.slice(0, cut), JSON.parse(value)]
  } catch {
    return [word.slice(0, cut), value]
  }
}

async function faucet(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, {})
  const client = await openSignedIn(deps, values.url)
  const given = await client.wallet.faucet()
  const { availableBalance } = await client.wallet.balance()
  if (values.json === true) printJson(deps, { ...given, availableBalance })
  else printLine(deps, `Balance: ${formatMicros(availableBalance)} of play money.`)
  return exitCodes.ok
}
