// doctor on machines where something is wrong, and what a database is refused for.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, inject, test } from 'vitest'
import { judge } from '../../workers/database-check.ts'
import { lockState } from '../../workers/local/state-lock.ts'
import { prepare } from '../../workers/prepare.ts'
import { createTestDatabase } from '../support/database.ts'
import { root } from '../support/house-rules.ts'
import { scrubbedEnvironment, type Finished } from '../support/installation.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-doctor-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function node(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Finished> {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: scrubbedEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}

type Check = { check: string; ok: boolean; says: string; mend?: string }
type Report = { ok: boolean; checks: Check[] }
const failuresOf = (text: string) => (JSON.parse(text) as Report).checks.filter(({ ok }) => !ok)

const oldNode =
  "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.18.9'}})"

test('on an old Node every command says which one is needed, and doctor says it to programs', async () => {
  const start = await node(['--import', oldNode, 'scripts/bootstrap.mjs', 'workers/start.ts'], {})
  expect(start).toMatchObject({ code: 69, out: '' })
  expect(start.err).toMatch(/^Gatehouse needs Node 20\.19 or newer; this is 20\.18\.9\.\n +→ install a newer Node/)
  const doctor = await node(['--import', oldNode, 'scripts/bootstrap.mjs', 'workers/doctor.ts', '--json'], {})
  expect([doctor.code, failuresOf(doctor.out)]).toMatchObject([69, [{ check: 'node', ok: false }]])
})

test('doctor names the parts of a running installation that do not answer, and a database without fsync', async () => {
  const broken = createServer((request, response) => {
    response.statusCode = request.url === '/ready' ? 503 : 500
    response.end('{"ready":false}')
  })
  await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(broken.address() as AddressInfo).port}`
  const stateDir = join(folder, 'state')
  mkdirSync(stateDir)
  const release = await lockState(stateDir)
  const pids = { supervisor: process.pid }
  const parts = { api: [url], model: url, temporalAddress: '127.0.0.1:9', databaseUrl: inject('postgresUrl') }
  writeFileSync(join(stateDir, 'run.json'), JSON.stringify({ ready: true, startedAt: 'today', pids, ...parts }))
  const doctor = ['--import', 'tsx', 'workers/doctor.ts']
  const env = { GATEHOUSE_STATE_DIR: stateDir }
  const [{ code, out }, lines] = await Promise.all([node([...doctor, '--json'], env), node(doctor, env)])
  broken.close()
  await release()
  expect(code).toBe(1)
  const failures = failuresOf(out)
  expect(failures.map(({ check }) => check)).toEqual(['temporal', 'database', 'model', 'api'])
  const of = (name: string) => failures.find(({ check }) => check === name)
  expect(of('database')?.says).toContain('fsync is off')
  expect(of('model')?.says).toBe('the scripted model answers 500')
  expect(of('api')).toMatchObject({ says: 'not ready: {"ready":false}', mend: expect.stringContaining('api-1.log') })
  for (const { mend } of failures) expect(lines.out).toContain(`→ ${mend}`)
  expect(lines.out).not.toContain(inject('postgresUrl'))
}, 60_000)

const now = 1_790_000_000
const fine = { version: 180_004, fsync: 'on', commits: 'on', seconds: now + 59 }

test.each([
  [{ version: 140_010 }, 'Postgres 14'],
  [{ fsync: 'off' }, 'fsync is off'],
  [{ commits: 'off' }, 'synchronous_commit is off'],
  [{ seconds: now + 61 }, 'the clock of the database is 61 s ahead'],
  [{ seconds: now - 3_600 }, 'the clock of the database is 3600 s behind'],
])('a database with %j is at fault', (changed, says) => {
  expect(judge({ ...fine, ...changed }, now).faults.map((fault) => fault.says)).toEqual([says])
  expect(judge(fine, now)).toEqual({ major: 18, faults: [] })
})

test('production is not prepared on a database that loses what it acknowledged; development is told', async () => {
  await using database = await createTestDatabase()
  const said: string[] = []
  const target = { databaseUrl: database.url, temporal: undefined, say: (line: string) => void said.push(line) }
  await expect(prepare({ ...target, environment: 'production' })).rejects.toThrow(/not usable: fsync is off/)
  expect(said).toEqual([])
  await prepare({ ...target, environment: 'development' })
  expect(said[0]).toMatch(/^Take care: fsync is off/)
})

test('migrating without a database says which setting is missing', async () => {
  const { code, err } = await node(['--import', 'tsx', 'workers/migrate.ts'], {})
  expect([code, err]).toEqual([78, expect.stringContaining('DATABASE_URL: is not set')])
})
