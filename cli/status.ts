// `gatehouse status`: where the parts of the installation on this machine are, or whether another one serves.
import type { RunFile } from '../schemas/run-file.ts'
import { parseWords } from './arguments.ts'
import type { Command } from './deps.ts'
import { exitCodes } from './exit-codes.ts'
import { printFacts, printJson } from './output.ts'
import { openClient, readRun } from './settings.ts'

export const status: Command = {
  summary: 'where everything is, and whether it serves',
  help: `Usage: gatehouse status [--json] [--url URL]

Reads where the installation of this folder's .gatehouse (or GATEHOUSE_STATE_DIR) is, and asks it whether it serves.
With --url, or when nothing runs here, only the latter.

Examples:
  npx --no gatehouse status
  npx --no gatehouse status --json
  npx --no gatehouse status --url https://gatehouse.example`,
  async run(deps, args) {
    const { values } = parseWords(args, {})
    const client = await openClient(deps, values.url)
    const run = await readRun(deps)
    const health = await client.health()
    const local = run?.api.includes(client.baseUrl) === true ? run : undefined
    if (values.json === true) {
      printJson(deps, local === undefined ? { api: [client.baseUrl], health } : withoutSecret(local))
      return exitCodes.ok
    }
    printFacts(deps, [
      ['API', client.baseUrl],
      ['more replicas', local?.api.slice(1).join(', ')],
      ['OpenAPI', local?.openapi],
      ['Temporal', local?.temporalAddress],
      ['Temporal UI', local?.temporalUi],
      ['identities', local?.demo.map((identity) => identity.name).join(', ')],
      ['running since', local?.startedAt],
      ['serving', 'yes'],
    ])
    return exitCodes.ok
  },
}

function withoutSecret(run: RunFile): Omit<RunFile, 'databaseUrl'> {
  const { databaseUrl: _secret, ...shown } = run
  return shown
}
