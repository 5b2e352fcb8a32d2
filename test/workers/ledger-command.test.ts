// The operator's command: money starts again only after a clean check.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openWallet } from '../../db/identity.ts'
import { readMoneyStops } from '../../db/ledger-audit.ts'
import { createTestDatabase } from '../support/database.ts'
import { scrubbedEnvironment, type Finished } from '../support/installation.ts'
import { connectLedgerFacts } from '../support/ledger-facts.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

function run(order: string, url: string): Promise<Finished> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'workers/ledger.ts', order], {
    cwd: root,
    env: scrubbedEnvironment({ DATABASE_URL: url }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}

test('resume lifts nothing while a fault stands, and everything when all is clean', async () => {
  await using database = await createTestDatabase()
  await using ledger = await connectLedgerFacts(database.url)
  const wallet = await openWallet(database.pool, `0x${randomBytes(20).toString('hex')}`)
  await ledger.query("SELECT money_halt($1, 'drift: user')", [wallet])
  const damage = (by: number) =>
    ledger.query("UPDATE account SET credits_posted = credits_posted + $2 WHERE id = wallet_account($1, 'user')", [
      wallet,
      by,
    ])
  await damage(1)
  const refused = await run('resume', database.url)
  expect(refused).toMatchObject({ code: 1, out: expect.stringContaining(`wallet ${wallet}: drift: user`) })
  expect(refused.out).toContain('Nothing was lifted')
  expect(await readMoneyStops(database.pool, 9)).toHaveLength(1)
  await damage(-1)
  expect(await run('resume', database.url)).toMatchObject({ code: 0, out: expect.stringContaining('lifted') })
  expect(await readMoneyStops(database.pool, 9)).toEqual([])
  const { rows } = await database.pool.query(
    "SELECT intent->>'action' AS action, intent->>'resource' AS resource FROM audit_pending",
  )
  expect(rows).toEqual([{ action: 'money.resume', resource: `wallet ${wallet}` }])
  expect((await run('start', database.url)).code).toBe(2)
})
