// `npm run ledger -- check` looks at the whole ledger and ends with 1 when something does not hold; `npm run ledger --
// resume` does the same and, when all is clean, lifts every stop. On `DATABASE_OWNER_URL`, else `DATABASE_URL`, else the
// database of the running installation, as its owner: the application role cannot start money again.
import { resolve } from 'node:path'
import { userInfo } from 'node:os'
import { loadConfig } from '../config/load.ts'
import { readMoneyStops } from '../db/ledger-audit.ts'
import { createPool, type Pool } from '../db/pool.ts'
import { moneyStopsShown } from '../domain/limits.ts'
import { checkLedger, liftStop } from '../gateway/ledger-audit.ts'
import { readRunFile } from './local/run-file.ts'

const say = (line: string) => void process.stdout.write(`${line}\n`)
const nameOf = (walletId: bigint | null) => (walletId === null ? 'all wallets' : `wallet ${walletId}`)

/** Prints what it sees. Answers whether all is clean and, after a resume, nothing is stopped. */
async function look(pool: Pool, order: 'check' | 'resume'): Promise<boolean> {
  const { wallets, faults } = await checkLedger(pool)
  say(`Looked at ${wallets} wallets: ${faults.length} faults.`)
  for (const { kind, walletId, detail } of faults) say(`${nameOf(walletId)}: ${kind}: ${detail}`)
  const stops = await readMoneyStops(pool, moneyStopsShown)
  for (const { walletId, reason, at } of stops) say(`${nameOf(walletId)}: stopped since ${at.toISOString()}: ${reason}`)
  if (order === 'check' || faults.length > 0) {
    if (order === 'resume') say('Nothing was lifted: mend the faults first.')
    return faults.length === 0
  }
  for (const { walletId } of stops) {
    await liftStop(pool, { walletId, by: userInfo().username })
    say(`${nameOf(walletId)}: lifted.`)
  }
  return true
}

const [order] = process.argv.slice(2)
const config = loadConfig(process.env)
const given = config.secrets.databaseOwnerUrl ?? config.secrets.databaseUrl
const url = given?.reveal() ?? (await readRunFile(resolve(config.stateDir)))?.databaseUrl
if (order !== 'check' && order !== 'resume') {
  process.stderr.write('Usage: npm run ledger -- check | resume\n')
  process.exitCode = 2
} else if (url === undefined) {
  process.stderr.write('There is no ledger to look at: start Gatehouse with `npm start`, or set DATABASE_URL.\n')
  process.exitCode = 1
} else {
  const pool = createPool({ url, connectionsMax: 2, applicationName: 'gatehouse-ledger', asOwner: true })
  try {
    if (!(await look(pool, order))) process.exitCode = 1
  } finally {
    await pool.end()
  }
}
