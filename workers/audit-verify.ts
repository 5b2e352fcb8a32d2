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

type Keys = Parameters<typeof createChainVerifier>[0]
type ChainHead = Awaited<ReturnType<typeof readHeads>>[number]

async function verifyAll(pool: Pool): Promise<number> {
  const rows = (await listSigningKeys(pool)).filter((row) => row.purpose === 'audit')
  const keys = new Map(rows.map((row) => [row.kid, createPublicKey({ key: row.publicJwk, format: 'jwk' })]))
  let faults = 0
  for (const head of await readHeads(pool)) {
    const { count, fault } = await verifyChain(pool, head, keys)
    if (fault !== null) faults += 1
    const line =
      fault === null
        ? `ok      ${head.tenant}  ${count} records verified`
        : `BROKEN  ${head.tenant}  at record ${count + 1}: ${fault}`
    process.stdout.write(`${line}\n`)
  }
  return faults
}

// Counts the records that hold; the first that does not is the next.
async function verifyChain(pool: Pool, head: ChainHead, keys: Keys): Promise<{ count: number; fault: string | null }> {
  const verifier = createChainVerifier(keys)
  let count = 0
  for (;;) {
    const page = await readRecords(pool, { tenant: head.tenant, afterSeq: BigInt(count), limit: pageRows })
    for (const record of page) {
      const fault = verifier.next(record.body, BigInt(count + 1))
      if (fault !== null) return { count, fault }
      count += 1
    }
    if (page.length === pageRows) continue
    // The head says how long the chain is: records cut off at its end are missed here.
    const whole = BigInt(count) === head.seq && verifier.head().sha256 === head.sha256
    return { count, fault: whole ? null : 'the chain ends before its head' }
  }
}
