// `gatehouse auth`: who is signed in, and the way out.
import { GatehouseError } from '../sdk/client.ts'
import { parseWords, subcommandOf } from './arguments.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, NotSignedInError } from './exit-codes.ts'
import { login } from './login.ts'
import { printFacts, printJson, printLine, timeOf } from './output.ts'
import { findUrl, openSignedIn, readStored, writeStored } from './settings.ts'

export const auth: Command = {
  summary: 'sign in, see who is signed in, sign out',
  help: `Usage: gatehouse auth login …                         see gatehouse login --help
       gatehouse auth status [--json] [--url URL]       who is signed in, asked of the server
       gatehouse auth logout [--all] [--json] [--url URL]

Signing out revokes the token on the server and forgets it here. The key file stays.

  --all   Revokes everything this wallet has signed so far, on every machine.

Examples:
  npx --no gatehouse auth status
  npx --no gatehouse auth logout
  npx --no gatehouse auth logout --all`,
  async run(deps, args) {
    const [name, rest] = subcommandOf(args, ['login', 'status', 'logout'])
    if (name === 'login') return login.run(deps, rest)
    return name === 'status' ? status(deps, rest) : logout(deps, rest)
  },
}

async function status(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, {})
  const client = await openSignedIn(deps, values.url)
  const stored = await readStored(deps, client.baseUrl)
  if (stored === undefined) throw new NotSignedInError(`Nobody is signed in at ${client.baseUrl}.`)
  await client.sessions.list({ limit: 1 }) // a revoked token is found out here
  const { walletAddress, kind, expiresAt, keyFile } = stored
  if (values.json === true) printJson(deps, { url: client.baseUrl, walletAddress, kind, expiresAt, keyFile })
  else {
    printFacts(deps, [
      ['address', client.baseUrl],
      ['wallet', walletAddress],
      ['token', kind === 'session' ? 'session token' : 'wallet token'],
      ['valid until', `${timeOf(expiresAt)} UTC`],
      ['key file', keyFile],
    ])
  }
  return exitCodes.ok
}

async function logout(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, { options: { all: { type: 'boolean' } } })
  const url = await findUrl(deps, values.url)
  const stored = await readStored(deps, url)
  const revoked = stored === undefined ? false : await revoke(deps, { url, all: values.all === true })
  if (stored !== undefined) await writeStored(deps, url, undefined)
  if (values.json === true) printJson(deps, { url, walletAddress: stored?.walletAddress ?? null, revoked })
  else if (stored === undefined) printLine(deps, `Nobody is signed in at ${url}.`)
  else printLine(deps, `Signed out at ${url}; ${revoked ? 'the token is revoked' : 'the token was no longer valid'}.`)
  return exitCodes.ok
}

// A token the server no longer takes needs no revocation; one it could not be asked about is kept, with the error.
async function revoke(deps: CliDeps, { url, all }: { url: string; all: boolean }): Promise<boolean> {
  try {
    const client = await openSignedIn(deps, url)
    await (all ? client.revoke({ all: true }) : client.revoke())
    return true
  } catch (error) {
    const gone = error instanceof NotSignedInError || (error instanceof GatehouseError && error.status === 401)
    if (gone && !all) return false
    throw error
  }
}
