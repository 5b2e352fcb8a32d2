// Evidence in long form: 1,000 decisions a second from two processes on one chain, both killed at random moments while a
// third goes on, round after round; and a kill at each named point. Nothing answered is lost, no call lacks a record.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { migrate } from '../../db/migrate.ts'
import { createPool } from '../../db/pool.ts'
import { killAndJudge, killPoints, type KillOptions } from '../../test/support/evidence-kill.ts'
import { removePostgresHome } from '../../workers/local/postgres-files.ts'
import { inDatabase, startPostgres } from '../../workers/local/postgres.ts'
import { random, type Proof } from './proof.ts'

const perSecond = 500 // of each of two processes
const seconds = 10

export const prove: Proof = async ({ seed, print, rounds = 5 }) => {
  const stateDir = await mkdtemp(join(tmpdir(), 'gatehouse-prove-'))
  const server = await startPostgres({ stateDir })
  let holds = true
  try {
    const url = await freshDatabase(server.url)
    const pool = createPool({ url, connectionsMax: 16 })
    const database = { url, pool, [Symbol.asyncDispose]: () => pool.end() }
    const judge = async (name: string, options: Omit<KillOptions, 'database'>) => {
      const { broken, ...seen } = await killAndJudge({ database, ...options })
      if (broken.length > 0) holds = false
      print(
        `${name}: ${broken.length === 0 ? 'holds' : `BROKEN\n  ${broken.slice(0, 20).join('\n  ')}`} ${JSON.stringify(seen)}`,
      )
    }
    for (let round = 0; round < rounds; round += 1) {
      const next = random(seed + round)
      const kills = [0, 1].map(() => Math.floor(1_000 + next() * (seconds - 1) * 1_000))
      const order = { perSecond, calls: perSecond * seconds }
      await judge(`seed ${seed + round}: 1,000/s, killed after ${kills.join(' and ')} ms`, {
        ...order,
        processes: kills,
      })
      await judge(`seed ${seed + round}: one killed after ${kills[0]} ms, one goes on`, {
        ...order,
        processes: [kills[0] ?? 1_000, null],
      })
    }
    for (const point of killPoints)
      await judge(`killed at ${point}`, { perSecond: 500, calls: 500, processes: [point, null] })
    await pool.end()
    return holds
  } finally {
    await server.stop()
    await removePostgresHome(stateDir)
    await rm(stateDir, { recursive: true, force: true })
  }
}

async function freshDatabase(url: string): Promise<string> {
  const admin = new pg.Client({ connectionString: inDatabase(url, 'postgres') })
  await admin.connect()
  await admin.query('CREATE DATABASE evidence')
  await admin.end()
  await migrate(inDatabase(url, 'evidence'))
  return inDatabase(url, 'evidence')
}
