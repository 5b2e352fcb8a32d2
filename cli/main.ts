// The command line: finds the command, and turns whatever goes wrong into one sentence, a hint and an exit code.
import { agents } from './agents.ts'
import { audit } from './audit.ts'
import { auth } from './auth.ts'
import { budget } from './budget.ts'
import { chat } from './chat.ts'
import { complain } from './complaint.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { link } from './link.ts'
import { login } from './login.ts'
import { policy } from './policy.ts'
import { resume } from './resume.ts'
import { scope } from './scope.ts'
import { sessions } from './sessions.ts'
import { status } from './status.ts'
import { wallet } from './wallet.ts'

const commands: Readonly<Record<string, Command>> = {
  login,
  auth,
  agents,
  chat,
  resume,
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
    return complain(deps, error, { json: args.includes('--json'), usage: usageOf(name) })
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

function usageOf(command: string | undefined): string {
  return command !== undefined && Object.hasOwn(commands, command) ? `${command} --help` : '--help'
}
