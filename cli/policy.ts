// `gatehouse policy`: whether a policy is usable, what the active ones make of a question, and tables of tests.
import type { Client, PolicyExplanation, PolicyQuestion, PolicyTested } from '../sdk/client.ts'
import { parseWords, subcommandOf } from './arguments.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { printJson, printLine, printTable } from './output.ts'
import { openSignedIn } from './settings.ts'

export const policy: Command = {
  summary: 'policies (operators): validate, explain, test',
  help: `Usage: gatehouse policy validate <FILE> [--json] [--url URL]
       gatehouse policy explain <RESOURCE> [--action ACTION] [--arguments JSON] [--role ROLE]… [--agent ID]…
                                [--scope SCOPE]… [--wallet 0x…] [--tenant ID] [--owner caller|nobody|0x…]
                                [--class read|write|destructive] [--risk 0-100] [--json] [--url URL]
       gatehouse policy test <TABLE> [--policy FILE]… [--active] [--json] [--url URL]

validate names every fault by file, line and field. explain says which rules were considered, which matched and which
won; RESOURCE is kind:name, such as tool:everything/echo, and ACTION is tool.call when it is left out. test puts a table
of cases to policies: those named by --policy, else the file beside it (guests.yaml for guests.test.yaml), or with
--active to what is in force. Nothing is changed by any of them.

Examples:
  npx --no gatehouse policy validate policy/default.yaml
  npx --no gatehouse policy explain tool:workbench/write_note --agent assistant
  npx --no gatehouse policy test policy/default.test.yaml`,
  async run(deps, args) {
    const [name, rest] = subcommandOf(args, ['validate', 'explain', 'test'])
    if (name === 'validate') return validate(deps, rest)
    return name === 'explain' ? explain(deps, rest) : test(deps, rest)
  },
}

async function read(deps: CliDeps, file: string): Promise<{ name: string; text: string }> {
  const found = await deps.readFile(deps.absolute(file))
  if (found === undefined) throw new UsageError(`There is no file ${file}.`)
  // Faults carry the name; a path with other characters keeps its last part.
  const name = file.replace(/^.*[\\/]/, '').replaceAll(/[^\w.-]/g, '_')
  return { name, text: found.text }
}

async function validate(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['FILE'] })
  const text = await read(deps, words[0] ?? '')
  const found = await (await openSignedIn(deps, values.url)).policies.validate(text)
  if (values.json === true) printJson(deps, found)
  else if (found.valid) {
    printLine(deps, `${words[0]} is usable: policy ${found.policyId}, version ${found.version}, ${found.rules} rules.`)
    for (const path of found.notEnforced ?? []) printLine(deps, `Read, and obeyed by nothing yet: ${path}.`)
  } else for (const fault of found.faults ?? []) printLine(deps, fault)
  return found.valid ? exitCodes.ok : exitCodes.refused
}

const text = { type: 'string' } as const
const many = { type: 'string', multiple: true } as const
const questionOptions = {
  ...{ action: text, arguments: text, wallet: text, tenant: text, owner: text, class: text, risk: text },
  ...{ role: many, agent: many, scope: many },
} as const

async function explain(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values, words } = parseWords(args, { words: ['RESOURCE'], options: questionOptions })
  const client = await openSignedIn(deps, values.url)
  const explained = await client.policies.explain(questionOf(words[0] ?? '', values))
  if (values.json === true) printJson(deps, explained)
  else printExplanation(deps, explained)
  return exitCodes.ok
}

type Values = { readonly [K in keyof typeof questionOptions]?: string | string[] | undefined }

function questionOf(resource: string, values: Values): PolicyQuestion {
  const { action = 'tool.call', role, agent, scope, wallet, tenant, owner, risk } = values
  const given = (facts: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
  return {
    resource,
    action: String(action),
    principal: given({ wallet, tenant, roles: role, agents: agent, scopes: scope }),
    ...given({ owner, effectClass: values.class, risk: risk === undefined ? undefined : Number(risk) }),
    ...(values.arguments === undefined ? {} : { arguments: jsonOf(String(values.arguments)) }),
  }
}

function jsonOf(words: string): unknown {
  try {
    return JSON.parse(words) as unknown
  } catch {
    throw new UsageError('--arguments takes JSON.')
  }
}

function printExplanation(deps: CliDeps, { decision, considered, consideredTotal }: PolicyExplanation): void {
  const what = decision.requirement === undefined ? decision.kind : `require ${decision.requirement}`
  const where = `policy ${decision.policyId}, version ${decision.version}, epoch ${decision.epoch}`
  printLine(deps, `${what}: ${decision.reason} (${where})`, 'bold')
  if (decision.observed)
    printLine(deps, `Rules under observation would ${decision.observed.kind}: ${decision.observed.ruleIds.join(', ')}.`)
  printTable(deps, {
    headings: ['outcome', 'rule', 'policy', 'effect', 'mode', 'does not hold', 'written at'],
    rows: considered.map((each) => [
      ...[each.outcome, each.ruleId, `${each.policyId} ${each.version}`, each.effect, each.mode],
      ...[each.condition ?? '', each.source],
    ]),
    empty: 'No rule is about this.',
  })
  if (consideredTotal > considered.length)
    printLine(deps, `${consideredTotal - considered.length} more were considered.`)
}

async function test(deps: CliDeps, args: readonly string[]): Promise<number> {
  const options = { policy: many, active: { type: 'boolean' } } as const
  const { values, words } = parseWords(args, { words: ['TABLE'], options })
  const file = words[0] ?? ''
  if (values.active === true && values.policy !== undefined)
    throw new UsageError('--active and --policy do not go together.')
  const table = await read(deps, file)
  const named = values.active === true ? [] : (values.policy ?? [besideOf(file)])
  const policies = await Promise.all(named.map((each) => read(deps, each)))
  const client: Client = await openSignedIn(deps, values.url)
  const tested = await client.policies.test({ name: table.name, table: table.text, policies })
  if (values.json === true) printJson(deps, tested)
  else printTested(deps, tested)
  return tested.failed === 0 && tested.faults.length === 0 ? exitCodes.ok : exitCodes.refused
}

function besideOf(file: string): string {
  const beside = file.replace(/\.test(\.ya?ml)$/, '$1')
  if (beside === file) throw new UsageError(`${file} has no policy beside it: name one with --policy, or say --active.`)
  return beside
}

function printTested(deps: CliDeps, { faults, passed, failed, results }: PolicyTested): void {
  for (const fault of faults) printLine(deps, fault)
  for (const each of results.filter((result) => !result.passed)) {
    const by = each.ruleIds.length === 0 ? '' : ` by ${each.ruleIds.join(', ')}`
    printLine(deps, `failed: ${each.name}: expected ${each.expected}, got ${each.actual}${by}: ${each.reason}`, 'red')
  }
  if (faults.length === 0) printLine(deps, `${passed} passed, ${failed} failed.`)
}
