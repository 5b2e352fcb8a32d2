// The command line: finds the command, and turns whatever goes wrong into one sentence, a hint and an exit code.
import { formatMicros, GatehouseError } from '../sdk/client.ts'
import { agents } from './agents.ts'
import { audit } from './audit.ts'
import { auth } from './auth.ts'
import { budget } from './budget.ts'
import { chat } from './chat.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodeOf, exitCodes, FileError, NotSignedInError, UsageError } from './exit-codes.ts'
import { link } from './link.ts'
import { login } from './login.ts'
import { jsonText, printNote } from './output.ts'
import { policy } from './policy.ts'
import { scope } from './scope.ts'
import { sessions } from './sessions.ts'
import { status } from './status.ts'
import { wallet } from './wallet.ts'

const commands: Readonly<Record<string, Command>> = {
  login,
  auth,
  agents,
  chat,
  sessions,
  wallet,
  budget,
  scope,
  policy,
  audit,
  status,
  link,
}

const help = `gatehouse: the command line of a Gatehouse

Usage: gatehouse COMMAND …

Commands:
${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  .join('\n')}

Every command takes --help, --json for programs, and --url URL for the Gatehouse it speaks to (else GATEHOUSE_URL, else
the one that runs with this folder's .gatehouse, else http://127.0.0.1:4300).

Examples:
  npx --no gatehouse login --new
  npx --no gatehouse chat assistant "add 2 and 40 with the tool"
  npx --no gatehouse wallet transactions
  npx --no gatehouse help chat`

/** Runs one command line and says how it went. */
export async function main(deps: CliDeps, args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  try {
    if (name === undefined || name === '--help' || name === '-h') return say(deps, help)
    if (name === '--version') return say(deps, deps.version)
    if (name === 'help') return say(deps, rest[0] === undefined ? help : commandOf(rest[0]).help)
    const command = commandOf(name)
    const words = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest
    if (words.includes('--help') || words.includes('-h')) return say(deps, command.help)
    return await command.run(deps, rest)
  } catch (error) {
    if (deps.signal.aborted) return exitCodes.cancelled
    return complain(deps, error, args)
  }
}

function say(deps: CliDeps, text: string): number {
  deps.out(`${text}\n`)
  return exitCodes.ok
}

function commandOf(name: string): Command {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command) return command
  throw new UsageError(`There is no command "${name}"; there are ${Object.keys(commands).join(', ')}.`)
}

function complain(deps: CliDeps, error: unknown, args: readonly string[]): number {
  const exitCode = exitCodeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  const hint = hintOf(error, exitCode, args[0])
  if (args.includes('--json')) {
    const facts = error instanceof GatehouseError ? publicFacts(error) : { code: wordOf(error) }
    deps.err(`${jsonText({ error: { ...facts, message, ...(hint === undefined ? {} : { hint }) }, exitCode })}\n`)
    return exitCode
  }
  printNote(deps, `gatehouse: ${message}`)
  if (hint !== undefined) printNote(deps, hint)
  if (error instanceof GatehouseError && error.requestId !== undefined && exitCode === exitCodes.server)
    printNote(deps, `Request ${error.requestId}.`)
  return exitCode
}

function publicFacts({ code, status, requestId, retryAfterSeconds, details }: GatehouseError) {
  return { code, status, requestId, retryAfterSeconds, details }
}

function wordOf(error: unknown): string {
  if (error instanceof UsageError) return 'USAGE'
  if (error instanceof FileError) return 'FILE'
  return error instanceof NotSignedInError ? 'NOT_SIGNED_IN' : 'UNEXPECTED'
}

// What to do next, where there is something to do.
function hintOf(error: unknown, exitCode: number, command: string | undefined): string | undefined {
  if (error instanceof UsageError) return `See: npx --no gatehouse ${usageOf(command)}`
  if (exitCode === exitCodes.notSignedIn) return 'Sign in: npx --no gatehouse login --new, or login --private-key FILE.'
  if (!(error instanceof GatehouseError)) return undefined
  if (error.code === 'UNREACHABLE') return 'Does it run? Start it with `npm start`, or name another one with --url URL.'
  if (exitCode === exitCodes.funds) return fundsHint(error)
  if (error.retryAfterSeconds !== undefined) return `Try again in ${error.retryAfterSeconds} s.`
  return undefined
}

function usageOf(command: string | undefined): string {
  return command !== undefined && Object.hasOwn(commands, command) ? `${command} --help` : '--help'
}

function fundsHint({ details }: GatehouseError): string {
  const { required, available, depositAddress } = details
  const lines = [
    'Look at the balance: npx --no gatehouse wallet balance. In development: npx --no gatehouse wallet faucet.',
  ]
  if (typeof required === 'string' && typeof available === 'string')
    lines.unshift(`Needed ${formatMicros(required)}, available ${formatMicros(available)}.`)
  if (typeof depositAddress === 'string') lines.push(`Deposits go to ${depositAddress}.`)
  return lines.join('\n')
}
