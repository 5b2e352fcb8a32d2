// Forward-only migrations: numbered .sql files fed to Kysely's Migrator, whose lock lets several processes start
// together. Run by the owner of the schema, not by the application role.
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Kysely, Migrator, PostgresDialect, sql, type Migration } from 'kysely'
import pg from 'pg'

const folder = fileURLToPath(new URL('./migrations/', import.meta.url))
const fileName = /^\d{4}-[a-z0-9-]+\.sql$/

/** Applies what is missing. Answers the names of the files it applied; none on a second run. Throws on the first fault. */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2, application_name: 'gatehouse-migrate' })
  const database = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    const migrator = new Migrator({ db: database, provider: { getMigrations: readMigrations } })
    const { error, results } = await migrator.migrateToLatest()
    if (error) throw error instanceof Error ? error : new Error('The migrations could not be applied.')
    return (results ?? []).map((result) => result.migrationName)
  } finally {
    await database.destroy()
  }
}

async function readMigrations(): Promise<Record<string, Migration>> {
  const names = (await readdir(folder)).filter((name) => fileName.test(name)).toSorted()
  const migrations: Record<string, Migration> = {}
  for (const name of names) {
    const text = await readFile(`${folder}${name}`, 'utf8')
    migrations[name] = { up: async (database) => void (await sql.raw(text).execute(database)) }
  }
  return migrations
}
