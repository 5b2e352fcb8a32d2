// Money in long form: random sequences against the ledger's own check, the edges against plain arithmetic, 10^5 spends
// over 100 wallets from two processes, and again with one of them killed at a random moment.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { migrate } from '../../db/migrate.ts'
import { createPool } from '../../db/pool.ts'
import { playEdges } from '../../test/support/money-edges.ts'
import { playMoney } from '../../test/support/money-play.ts'
import { spendAtOnce } from '../../test/support/spending.ts'
import { removePostgresHome } from '../../workers/local/postgres-files.ts'
import { inDatabase, startPostgres } from '../../workers/local/postgres.ts'
import { random, type Proof } from './proof.ts'

const spends = 100_000
const wallets = 100
const sequences = 3_000 // each of up to 24 calls
const sliceRuns = 100

export const prove: Proof = async ({ seed, print, rounds = 1 }) => {
  const stateDir = await mkdtemp(join(tmpdir(), 'gatehouse-prove-'))
  const server = await startPostgres({ stateDir })
  let holds = true
  const say = (name: string, broken: readonly string[], figures: string) => {
    if (broken.length > 0) holds = false
    print(`${name}: ${broken.length === 0 ? 'holds' : `BROKEN\n  ${broken.join('\n  ')}`} ${figures}`)
  }
  try {
    for (let round = 0; round < rounds; round += 1) {
      const at = seed + round
      const killAfter = 1 + Math.floor(random(at)() * spends * 0.5)
      for (const [name, options] of [
        ['spends from two processes', {}],
        [`spends with one of two killed after ${killAfter} answers`, { killAfter }],
      ] as const) {
        const url = await freshDatabase(server.url, `spends_${round}_${'killAfter' in options ? 'killed' : 'whole'}`)
        const { broken, ...seen } = await spendAtOnce({ url, seed: at, spends, wallets, ...options })
        say(`seed ${at}: ${spends} ${name}`, broken, JSON.stringify(seen))
      }
      const broken: string[] = []
      // Each slice in a database of its own: the check of the whole ledger after each batch stays cheap.
      for (let slice = 0; slice < sequences / sliceRuns; slice += 1)
        broken.push(...(await playAll(await freshDatabase(server.url, `play_${round}_${slice}`), at + slice)))
      say(`seed ${at}: ${sequences} sequences`, broken, '')
    }
    return holds
  } finally {
    await server.stop()
    await removePostgresHome(stateDir)
    await rm(stateDir, { recursive: true, force: true })
  }
}

async function freshDatabase(url: string, name: string): Promise<string> {
  const admin = new pg.Client({ connectionString: inDatabase(url, 'postgres') })
  await admin.connect()
  await admin.query(`CREATE DATABASE ${name}`)
  await admin.end()
  await migrate(inDatabase(url, name))
  return inDatabase(url, name)
}

async function playAll(url: string, seed: number): Promise<string[]> {
  const pool = createPool({ url, connectionsMax: 16 })
  const on = { url, pool, [Symbol.asyncDispose]: () => pool.end() }
  const broken: string[] = []
  const play = (work: Promise<void>) => work.catch((error: unknown) => void broken.push(String(error)))
  await play(playMoney(on, { runs: sliceRuns, seed }))
  await play(playEdges(on, { runs: sliceRuns, seed }))
  await pool.end()
  return broken
}
