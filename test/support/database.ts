// A migrated database of its own for a test file, dropped at the end.
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { createPool, type Pool } from '../../db/pool.ts'
import { inDatabase } from '../../workers/local/postgres.ts'

export type TestDatabase = {
  /** Connects as the owner of the schema, past the application role. */
  readonly url: string
  /** Connects as the application does. */
  readonly pool: Pool
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/** Copies the run's template into a new database. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const admin = inDatabase(inject('postgresUrl'), 'postgres')
  const name = `test_${randomBytes(6).toString('hex')}`
  await once(admin, `CREATE DATABASE ${name} TEMPLATE ${inject('template')}`)
  const url = inDatabase(admin, name)
  const pool = createPool({ url, connectionsMax: 16 })
  return {
    url,
    pool,
    async [Symbol.asyncDispose]() {
      await pool.end()
      await once(admin, `DROP DATABASE ${name} WITH (FORCE)`)
    },
  }
}

async function once(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
