// One Postgres for the whole run: DATABASE_URL when given, else the embedded one in a folder of its own. Suites get
// databases from `database.ts`, copied from a template that was migrated once.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../db/migrate.ts'
import { removePostgresHome } from '../../workers/local/postgres-files.ts'
import { inDatabase, startPostgres } from '../../workers/local/postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string
    template: string
  }
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['DATABASE_URL']
  const stateDir = given === undefined ? await mkdtemp(join(tmpdir(), 'gatehouse-test-')) : undefined
  const server = stateDir === undefined ? undefined : await startPostgres({ stateDir, volatile: true })
  const url = server?.url ?? given ?? ''
  const template = `template_${process.pid}`
  const admin = new pg.Client({ connectionString: inDatabase(url, 'postgres') })
  await admin.connect()
  await admin.query(`CREATE DATABASE ${template}`)
  await migrate(inDatabase(url, template))
  project.provide('postgresUrl', url)
  project.provide('template', template)
  return async () => {
    await admin.query(`DROP DATABASE ${template} WITH (FORCE)`)
    await admin.end()
    await server?.stop()
    if (stateDir === undefined) return
    await removePostgresHome(stateDir)
    await rm(stateDir, { recursive: true, force: true })
  }
}
