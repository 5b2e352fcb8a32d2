// `npm run reset`: forgets everything in the state folder, after a question (or `--yes`).
import { existsSync, readdirSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { loadConfig } from '../config/load.ts'
import { toError } from '../domain/errors.ts'
import { removePostgresHome } from './local/postgres-files.ts'
import { startPostgres } from './local/postgres.ts'
import { lockState } from './local/state-lock.ts'

async function reset(): Promise<void> {
  const stateDir = resolve(loadConfig(process.env).stateDir)
  if (!existsSync(stateDir)) {
    process.stdout.write('There is nothing to reset.\n')
    return
  }
  const foreign = strangersIn(stateDir)
  if (foreign !== undefined) {
    process.stderr.write(`${stateDir} is not a state folder of Gatehouse (${foreign}). Nothing was deleted.\n`)
    process.exitCode = 1
    return
  }
  const release = await lockState(stateDir) // refuses while Gatehouse runs; removed with the folder
  if (!process.argv.includes('--yes') && !(await agreed(stateDir))) {
    await release()
    process.stdout.write('Nothing was deleted.\n')
    return
  }
  // A server left by a killed parent would keep its files open: take it over and stop it.
  if (existsSync(resolve(stateDir, 'postgres', 'data')) || existsSync(resolve(stateDir, 'postgres-folder'))) {
    await startPostgres({ stateDir }).then(
      (server) => server.stop(),
      () => undefined,
    )
  }
  await removePostgresHome(stateDir)
  await rm(stateDir, { recursive: true, force: true })
  process.stdout.write(`Deleted ${stateDir}.\n`)
}

// What Gatehouse itself puts into its state folder; a folder with anything else in it may be somebody's home.
const ours =
  /^(?:logs|postgres|temporal|demo|keys|homes|spool|(?:members\.yaml|master\.key|run\.json|temporal\.mark|postgres-folder)(?:\.[0-9a-f]{8}\.draft)?|lock)$/

function strangersIn(stateDir: string): string | undefined {
  if (!statSync(stateDir).isDirectory()) return 'it is no folder'
  const stranger = readdirSync(stateDir).find((name) => !ours.test(name))
  return stranger === undefined ? undefined : `it holds ${stranger}`
}

async function agreed(stateDir: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const answer = await terminal.question(
    `Delete ${stateDir} with all wallets, sessions, ledger and audit records? Type yes: `,
  )
  terminal.close()
  return answer.trim() === 'yes'
}

try {
  await reset()
} catch (error) {
  process.stderr.write(`${toError(error).message}\n`)
  process.exitCode = 1
}
