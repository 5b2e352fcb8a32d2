// A Postgres of its own with one migrated database, for what runs outside the test runner: benches and proofs.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { migrate } from '../../db/migrate.ts'
import { createPool } from '../../db/pool.ts'
import { removePostgresHome } from '../../workers/local/postgres-files.ts'
import { inDatabase, startPostgres } from '../../workers/local/postgres.ts'
import type { TestDatabase } from './database.ts'

/** Starts it; dispose of the database to stop and remove it. */
export async function startOwnDatabase(name: string): Promise<TestDatabase> {
  const stateDir = await mkdtemp(join(tmpdir(), 'gatehouse-own-'))
  const server = await startPostgres({ stateDir })
  const admin = new pg.Client({ connectionString: inDatabase(server.url, 'postgres') })
  await admin.connect()
  await admin.query(`CREATE DATABASE ${name}`)
  await admin.end()
  const url = inDatabase(server.url, name)
  await migrate(url)
  const pool = createPool({ url, connectionsMax: 16 })
  return {
    url,
    pool,
    async [Symbol.asyncDispose]() {
      await pool.end()
      await server.stop()
      await removePostgresHome(stateDir)
      await rm(stateDir, { recursive: true, force: true })
    },
  }
}
