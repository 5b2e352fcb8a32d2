// What went wrong, for people in a sentence with what to do next, for programs as one JSON text.
import { formatMicros, GatehouseError } from '../sdk/client.ts'
import type { CliDeps } from './deps.ts'
import { exitCodeOf, exitCodes, FileError, NotSignedInError, UsageError } from './exit-codes.ts'
import { jsonText, printNote } from './output.ts'

type Complaint = { readonly json: boolean; readonly usage: string }

/** Says what went wrong and returns its exit code. `usage` is the command whose help would tell more. */
export function complain(deps: CliDeps, error: unknown, { json, usage }: Complaint): number {
  const exitCode = exitCodeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  const hint = hintOf(error, exitCode, usage)
  if (json) {
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
function hintOf(error: unknown, exitCode: number, usage: string): string | undefined {
  if (error instanceof UsageError) return `See: npx --no gatehouse ${usage}`
  if (exitCode === exitCodes.notSignedIn) return 'Sign in: npx --no gatehouse login --new, or login --private-key FILE.'
  if (!(error instanceof GatehouseError)) return undefined
  if (error.code === 'UNREACHABLE') return 'Does it run? Start it with `npm start`, or name another one with --url URL.'
  if (exitCode === exitCodes.funds) return fundsHint(error)
  if (error.retryAfterSeconds !== undefined) return `Try again in ${error.retryAfterSeconds} s.`
  return undefined
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
