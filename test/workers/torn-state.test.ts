// A state folder as a power cut, a killed first start or a reboot leaves it: the next start mends it and loses nothing.
import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { prepareDemo } from '../../workers/local/demo.ts'
import { unprivileged } from '../../workers/local/postgres-files.ts'
import { startPostgres, type LocalPostgres } from '../../workers/local/postgres.ts'
import { isAlive } from '../../workers/local/processes.ts'
import { endLeftovers } from '../../workers/local/servers.ts'
import { readRunFile } from '../../workers/local/run-file.ts'
import { lockState } from '../../workers/local/state-lock.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-torn-'))
const stateDir = join(folder, 'state')
const cluster = join(stateDir, 'postgres')
let count = 0

function newFolder(): string {
  count += 1
  const path = join(folder, `folder-${count}`)
  mkdirSync(path)
  return path
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

async function starting(): Promise<{ server: LocalPostgres; ms: number }> {
  const startedAt = performance.now()
  const server = await startPostgres({ stateDir })
  return { server, ms: performance.now() - startedAt }
}

beforeAll(async () => {
  chmodSync(folder, 0o755)
  // The first start finds what an earlier one left when it was cut off: it starts over.
  mkdirSync(join(cluster, 'data.draft', 'base'), { recursive: true })
  writeFileSync(join(cluster, 'password'), 'of-a-cluster-that-never-was\n')
  const { server } = await starting()
  await query(server.url, 'CREATE TABLE kept AS SELECT 42 AS answer')
  await server.stop()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function expectKept(): Promise<number> {
  const { server, ms } = await starting()
  try {
    expect(await query(server.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
  } finally {
    await server.stop()
  }
  return ms
}

test('a first start that was cut off starts over and leaves nothing of it', async () => {
  expect(readdirSync(cluster).filter((name) => name.includes('draft'))).toEqual([])
  await expectKept()
})

test('a pid file that names a living process of somebody else is stale, without a wait', async () => {
  const account = process.getuid?.() === 0 ? unprivileged : {}
  const stranger = spawn('sleep', ['60'], { ...account, stdio: 'ignore', cwd: '/' })
  try {
    const pidFile = join(cluster, 'data', 'postmaster.pid')
    writeFileSync(
      pidFile,
      [stranger.pid, join(cluster, 'data'), 1, 5432, join(cluster, 'socket'), '', '  1 1', ''].join('\n'),
    )
    expect(await expectKept()).toBeLessThan(10_000)
    expect(isAlive(stranger.pid ?? 0)).toBe(true)
  } finally {
    stranger.kill()
  }
})

test('an empty or a missing password file costs no data: the password is set anew', async () => {
  writeFileSync(join(cluster, 'password'), '')
  await expectKept()
  expect(readFileSync(join(cluster, 'password'), 'utf8')).toMatch(/^[\w-]{32}\n$/)
  rmSync(join(cluster, 'password'))
  await expectKept()
  expect(statSync(join(cluster, 'password')).mode & 0o777).toBe(0o600)
})

test('a demo key that was torn before anybody was a member is made anew', async () => {
  const state = newFolder()
  mkdirSync(join(state, 'demo'))
  writeFileSync(join(state, 'demo', 'reviewer.key'), '')
  const identities = await prepareDemo(state)
  expect(readFileSync(join(state, 'demo', 'reviewer.key'), 'utf8')).toMatch(/^0x[0-9a-f]{64}\n$/)
  const members = readFileSync(join(state, 'members.yaml'), 'utf8')
  for (const { address } of identities) expect(members).toContain(address)
  expect(await prepareDemo(state)).toEqual(identities)
})

test('a damaged key of a member is named and never replaced', async () => {
  const state = newFolder()
  await prepareDemo(state)
  const file = join(state, 'demo', 'reviewer.key')
  writeFileSync(file, '0x12\n')
  await expect(prepareDemo(state)).rejects.toThrow(`${file} does not hold a key`)
  expect(readFileSync(file, 'utf8')).toBe('0x12\n')
})

test('a torn mark of Temporal and a torn run.json say nothing and stop nothing', async () => {
  const state = newFolder()
  for (const text of ['', '{"pid":', 'null', '{"pid":"x"}', '{"pid":0,"mark":null}']) {
    writeFileSync(join(state, 'temporal.mark'), text)
    await endLeftovers(state)
    expect(existsSync(join(state, 'temporal.mark'))).toBe(false)
  }
  for (const text of ['', '{"ready":true', 'null', '{}']) {
    writeFileSync(join(state, 'run.json'), text)
    expect(await readRunFile(state)).toBeUndefined()
  }
})

test('run.json of a supervisor whose number another process has since says nothing', async () => {
  const state = newFolder()
  writeFileSync(join(state, 'run.json'), JSON.stringify({ pids: { supervisor: process.pid } }))
  expect(await readRunFile(state)).toBeUndefined()
  const release = await lockState(state)
  expect(await readRunFile(state)).toEqual({ pids: { supervisor: process.pid } })
  await release()
})

test.runIf(process.getuid?.() === 0)(
  'as superuser a folder that somebody else laid out is refused, not opened',
  async () => {
    const closed = newFolder()
    chmodSync(closed, 0o700)
    const state = join(closed, 'state')
    const theirs = newFolder()
    chmodSync(theirs, 0o700)
    mkdirSync(state)
    const planted = join(folder, 'planted')
    symlinkSync(theirs, planted)
    writeFileSync(join(state, 'postgres-folder'), planted)
    await expect(startPostgres({ stateDir: state })).rejects.toThrow(`${planted} belongs to somebody else`)
    expect(statSync(theirs).mode & 0o777).toBe(0o700)
  },
)
