// `gatehouse scope`: named parts of a wallet's spending, each with a budget and tool servers of its own.
import { formatMicros, type RuntimeScope, type ScopeChange } from '../sdk/client.ts'
import { parseWords, subcommandOf } from './arguments.ts'
import { microsOf } from './budget.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { printJson, printLine, printTable } from './output.ts'
import { openSignedIn } from './settings.ts'

export const scope: Command = {
  summary: 'runtime scopes: list, create, update, archive, enable, disable',
  help: `Usage: gatehouse scope list [--json] [--url URL]
       gatehouse scope create <NAME> [--budget USD] [--ref TEXT] [--json] [--url URL]
       gatehouse scope update <ID> [--name NAME] [--budget USD|none] [--ref TEXT|none] [--status active|paused]
       gatehouse scope archive <ID> [--json] [--url URL]
       gatehouse scope enable <ID> <SERVER> [--json] [--url URL]
       gatehouse scope disable <ID> <SERVER> [--json] [--url URL]

A turn in a scope is paid within its budget and uses the tools of its enabled servers only. A paused scope starts
nothing; an archived one never will again.

Examples:
  npx --no gatehouse scope create "customer 7" --budget 5
  npx --no gatehouse scope enable 0198c1f2-4a6b-7c3d-8e9f-0a1b2c3d4e5f everything
  npx --no gatehouse chat assistant "hello" --scope 0198c1f2-4a6b-7c3d-8e9f-0a1b2c3d4e5f`,
  async run(deps, args) {
    const [name, rest] = subcommandOf(args, ['list', 'create', 'update', 'archive', 'enable', 'disable'])
    if (name === 'list') return list(deps, rest)
    if (name === 'create') return create(deps, rest)
    if (name === 'update') return update(deps, rest)
    return name === 'archive' ? archive(deps, rest) : switchServer(deps, rest, name)
  },
}

async function list(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, {})
  const scopes = await (await openSignedIn(deps, values.url)).wallet.scopes.list()
  if (values.json === true) printJson(deps, { scopes })
  else
    printTable(deps, {
      headings: ['id', 'name', 'status', 'budget', 'spent', 'servers'],
      rows: scopes.map((each) => [
        each.id,
        each.name,
        each.status,
        each.budgetMicrousd === null ? '' : formatMicros(each.budgetMicrousd),
        formatMicros(each.spentMicrousd),
        each.enabledServerIds.join(', '),
      ]),
      empty: 'There is no runtime scope.',
    })
  return exitCodes.ok
}

const option = { type: 'string' } as const
const changes = { budget: option, ref: option } as const
const updates = { ...changes, name: option, status: option } as const

async function create(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['NAME'], options: changes })
  const order = { ...changeOf(values), name: words[0] ?? '' }
  return show(deps, values.json, await (await openSignedIn(deps, values.url)).wallet.scopes.create(order))
}

async function update(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['ID'], options: updates })
  const { name, status } = values
  const change: ScopeChange = {
    ...changeOf(values),
    ...(name === undefined ? {} : { name }),
    ...(status === undefined ? {} : { status: statusOf(status) }),
  }
  if (Object.keys(change).length === 0) throw new UsageError('Nothing to change was named.')
  return show(
    deps,
    values.json,
    await (await openSignedIn(deps, values.url)).wallet.scopes.update(words[0] ?? '', change),
  )
}

function statusOf(word: string): 'active' | 'paused' {
  if (word === 'active' || word === 'paused') return word
  throw new UsageError('--status is active or paused.')
}

async function archive(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['ID'] })
  return show(deps, values.json, await (await openSignedIn(deps, values.url)).wallet.scopes.archive(words[0] ?? ''))
}

async function switchServer(deps: CliDeps, args: readonly string[], verb: 'enable' | 'disable'): Promise<number> {
  const { values, words } = parseWords(args, { words: ['ID', 'SERVER'] })
  const { scopes } = (await openSignedIn(deps, values.url)).wallet
  return show(deps, values.json, await scopes.server(words[0] ?? '', words[1] ?? '', verb))
}

function changeOf({
  budget,
  ref,
}: {
  readonly budget?: string | undefined
  readonly ref?: string | undefined
}): ScopeChange {
  return {
    ...(budget === undefined ? {} : { budgetMicrousd: budget === 'none' ? null : microsOf(budget) }),
    ...(ref === undefined ? {} : { externalRef: ref === 'none' ? null : ref }),
  }
}

function show(deps: CliDeps, json: boolean | undefined, made: RuntimeScope): number {
  const limit = made.budgetMicrousd === null ? 'no budget' : `${formatMicros(made.budgetMicrousd)} in all`
  const servers = made.enabledServerIds.length === 0 ? 'no tools' : `tools of ${made.enabledServerIds.join(', ')}`
  if (json === true) printJson(deps, made)
  else
    printLine(
      deps,
      `${made.id} (${made.name}): ${made.status}, ${limit}, ${formatMicros(made.spentMicrousd)} spent, ${servers}.`,
    )
  return exitCodes.ok
}
