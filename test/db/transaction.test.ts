// What a transaction leaves behind when its connection dies or its owner stalls: an error, and no lock.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { databaseFault } from '../../db/fault.ts'
import { createPool, type Pool } from '../../db/pool.ts'
import { revokeScopes } from '../../db/revocation.ts'
import { inTransaction } from '../../db/transaction.ts'
import { transactionIdleMs } from '../../domain/limits.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { connectLedgerFacts, type LedgerFacts } from '../support/ledger-facts.ts'

let database: TestDatabase
let owner: LedgerFacts
let pool: Pool

beforeAll(async () => {
  database = await createTestDatabase()
  owner = await connectLedgerFacts(database.url)
  pool = createPool({ url: database.url, connectionsMax: 2 })
})
afterAll(async () => {
  await pool?.end()
  await owner?.[Symbol.asyncDispose]()
  await database?.[Symbol.asyncDispose]()
})

const isDatabaseFault = (error: Error) => databaseFault(error)?.code === 'database-unavailable'
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('a connection that dies between two statements fails its transaction and nothing else', async () => {
  const work = inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await owner.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
    await pause(200)
    await client.query('SELECT 1')
  })
  await expect(work).rejects.toSatisfy(isDatabaseFault)
  expect((await pool.query('SELECT 1')).rowCount).toBe(1)
})

test('a process that stalls in a transaction does not hold up a revocation for long', async () => {
  const scope = 'wallet:stalled'
  let revokedAt = 0n
  const stalled = inTransaction(pool, async (client) => {
    await client.query('SELECT gate_pass($1, $2)', [[scope], [0]])
    await pause(transactionIdleMs + 200)
    revokedAt = await revokeScopes(database.pool, { scopes: [scope], reason: 'stolen', by: 'test' })
  })
  await expect(stalled).rejects.toSatisfy(isDatabaseFault)
  expect(revokedAt).toBeGreaterThan(0n)
})
