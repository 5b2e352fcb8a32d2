// `npm run audit:verify`: walks every tenant's chain with the public keys alone and names the first broken record.
import { createPublicKey } from 'node:crypto'
import { resolve } from 'node:path'
import { loadConfig } from '../config/load.ts'
import { readHeads, readRecords } from '../db/audit.ts'
import { createPool, type Pool } from '../db/pool.ts'
import { listSigningKeys } from '../db/signing-key.ts'
import { createChainVerifier } from '../gateway/audit-verify.ts'
import { readRunFile } from './local/run-file.ts'

const pageRows = 1_000

const config = loadConfig(process.env)
const url = config.secrets.databaseUrl?.reveal() ?? (await readRunFile(resolve(config.stateDir)))?.databaseUrl
if (url === undefined) {
  process.stderr.write('Nothing to verify: set DATABASE_URL or start Gatehouse.\n')
  process.exitCode = 1
} else {
  const pool = createPool({ url, applicationName: 'audit-verify' })
  const faults = await verifyAll(pool)
  await pool.end()
  process.exitCode = faults === 0 ? 0 : 1
}

async function verifyAll(pool: Pool): Promise<number> {
  const rows = (await listSigningKeys(pool)).filter((row) => row.purpose === 'audit')
  const keys = new Map(rows.map((row) => [row.kid, createPublicKey({ key: row.publicJwk, format: 'jwk' })]))
  let faults = 0
  for (const head of await readHeads(pool)) {
    const verifier = createChainVerifier(keys)
    let fault: string | null = null
    let seq = 0n
    for (let more = true; more && fault === null;) {
      const page = await readRecords(pool, { tenant: head.tenant, afterSeq: seq, limit: pageRows })
      more = page.length === pageRows
      for (const record of page) {
        fault = verifier.next(record.body, seq + 1n)
        if (fault !== null) break
        seq += 1n
      }
    }
    const { sha256, count } = verifier.head()
    // The head says how long the chain is: records cut off at its end are missed here.
    if (fault === null && (seq !== head.seq || sha256 !== head.sha256)) fault = 'the chain ends before its head'
    if (fault !== null) faults += 1
    process.stdout.write(
      fault === null
        ? `ok      ${head.tenant}  ${count} records verified\n`
        : `BROKEN  ${head.tenant}  at record ${seq + 1n}: ${fault}\n`,
    )
  }
  return faults
}
