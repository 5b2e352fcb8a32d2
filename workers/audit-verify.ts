// `npm run audit:verify`: checks every tenant's chain and names the first broken record; ends with 1 when one is broken.
// Needs the database only, `DATABASE_URL` or that of the running installation; private keys are not opened.
import { resolve } from 'node:path'
import { loadConfig } from '../config/load.ts'
import { readHeads } from '../db/audit.ts'
import { createPool, type Client, type Pool } from '../db/pool.ts'
import { auditTenantsMax } from '../domain/limits.ts'
import { readAuditKeys, verifyWhole } from '../gateway/audit-whole.ts'
import { readRunFile } from './local/run-file.ts'

const config = loadConfig(process.env)
const url = config.secrets.databaseUrl?.reveal() ?? (await readRunFile(resolve(config.stateDir)))?.databaseUrl
if (url === undefined) {
  process.stderr.write('There is no database to verify: start Gatehouse with `npm start`, or set DATABASE_URL.\n')
  process.exitCode = 1
} else {
  const pool = createPool({ url, connectionsMax: 2, applicationName: 'gatehouse-audit-verify' })
  try {
    if (!(await verifyAll(pool))) process.exitCode = 1
  } finally {
    await pool.end()
  }
}

// One snapshot of everything: chains grow while they are read, and a head must be compared with its own records.
async function verifyAll(pool: Pool): Promise<boolean> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    return await verifyChains(client)
  } finally {
    client.release(true)
  }
}

async function verifyChains(client: Client): Promise<boolean> {
  const publicKeys = await readAuditKeys(client)
  let [chains, records, broken] = [0, 0, 0]
  for await (const { tenant, head } of everyChain(client)) {
    const verified = await verifyWhole(client, { publicKeys, tenant, head })
    chains += 1
    if (verified.ok) records += verified.count
    else {
      broken += 1
      process.stdout.write(`tenant ${tenant}: broken at record ${verified.firstBrokenSeq}: ${verified.reason}\n`)
    }
  }
  if (broken === 0) process.stdout.write(`Verified: ${chains} chains with ${records} records are ok.\n`)
  else process.stdout.write(`Broken: ${broken} of ${chains} chains.\n`)
  return broken === 0
}

async function* everyChain(client: Client): AsyncGenerator<Awaited<ReturnType<typeof readHeads>>[number]> {
  let afterTenant = ''
  for (;;) {
    const page = await readHeads(client, { afterTenant, limit: auditTenantsMax })
    yield* page
    const last = page.at(-1)
    if (!last || page.length < auditTenantsMax) return
    afterTenant = last.tenant
  }
}
