// doctor, status and reset as an operator calls them: what is wrong is said together with what mends it, and nothing that
// is not ours is ever deleted.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { scrubbedEnvironment, type Finished } from '../support/installation.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-operator-'))
let count = 0
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function newState(): string {
  count += 1
  return join(folder, `state-${count}`)
}

function holdLock(state: string, pid: number): void {
  mkdirSync(join(state, 'lock'), { recursive: true })
  writeFileSync(join(state, 'lock', '1'), JSON.stringify({ pid, mark: null }))
}

function run(command: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Finished> {
  const child = spawn(process.execPath, ['--import', 'tsx', `workers/${command}.ts`, ...args], {
    cwd: root,
    env: scrubbedEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}

type Report = { ok: boolean; checks: { check: string; ok: boolean; says: string; mend?: string }[] }

async function examine(env: Readonly<Record<string, string>>) {
  const { code, out } = await run('doctor', ['--json'], { GATEHOUSE_STATE_DIR: newState(), ...env })
  const { ok, checks } = JSON.parse(out) as Report
  return { code, ok, of: (name: string) => checks.find(({ check }) => check === name) }
}

test('doctor names a state folder that is none, a database and a cluster that do not answer', async () => {
  const file = join(folder, 'a-file')
  writeFileSync(file, '')
  const found = await examine({
    GATEHOUSE_STATE_DIR: file,
    DATABASE_URL: 'postgres://somebody@127.0.0.1:1/gatehouse',
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  })
  expect([found.code, found.ok]).toEqual([1, false])
  expect(found.of('state folder')).toMatchObject({ ok: false, mend: 'set GATEHOUSE_STATE_DIR to a folder of yours' })
  expect(found.of('database')?.says).toMatch(/^the database does not answer: .*ECONNREFUSED/)
  expect(found.of('database')?.mend).toContain('DATABASE_URL')
  expect(found.of('temporal')).toMatchObject({ ok: false })
  expect(found.of('temporal')?.mend).toContain('npm run migrate')
})

test('doctor names a machine without CLI and Go, and one whose Go is too old', async () => {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  const bare = { PATH: bin, HOME: folder, XDG_CACHE_HOME: join(folder, 'cache') }
  const without = (await examine(bare)).of('temporal')
  expect(without).toMatchObject({ ok: false, says: 'no usable CLI. There is no Go toolchain.' })
  expect(without?.mend).toContain('install Go 1.26.4 or newer')
  writeFileSync(join(bin, 'go'), '#!/bin/sh\necho go1.24.1\n', { mode: 0o755 })
  expect((await examine({ ...bare, PATH: `${bin}:/bin` })).of('temporal')?.says).toContain(
    'Go go1.24.1 is older than 1.26.4',
  )
})

test('doctor says which settings are wrong, all at once, and exits like every command with bad settings', async () => {
  const { code, err } = await run('doctor', [], {
    GATEHOUSE_PORT: 'x',
    LOG_LEVEL: 'loud',
    GATEHOUSE_STATE_DIR: newState(),
  })
  expect(code).toBe(78)
  expect(err).toContain('GATEHOUSE_PORT')
  expect(err).toContain('LOG_LEVEL')
})

test('doctor is content with a busy port and with what a killed supervisor left, and says so', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const port = String((server.address() as AddressInfo).port)
  const state = newState()
  mkdirSync(state)
  holdLock(state, 999_999_999)
  writeFileSync(join(state, 'run.json'), JSON.stringify({ pids: { supervisor: 999_999_999 } }))
  const found = await examine({ GATEHOUSE_PORT: port, GATEHOUSE_STATE_DIR: state })
  server.close()
  expect([found.code, found.ok]).toEqual([0, true])
  expect(found.of('port')?.says).toContain(`${port} is busy; the next free one will be taken`)
  expect(found.of('supervisor')?.says).toContain('it was killed (a start mends what is left)')
})

test('status says that nothing runs, what is starting, and takes no notice of a file that was left behind', async () => {
  const state = newState()
  const env = { GATEHOUSE_STATE_DIR: state }
  expect(await run('status', [], env)).toMatchObject({ code: 1, out: '' })
  mkdirSync(state)
  writeFileSync(join(state, 'run.json'), JSON.stringify({ pids: { supervisor: 999_999_999 } }))
  const left = await run('status', ['--json'], env)
  expect([left.code, JSON.parse(left.out)]).toEqual([1, { ready: false, starting: null }])
  holdLock(state, process.pid)
  const starting = await run('status', ['--json'], env)
  expect([starting.code, JSON.parse(starting.out)]).toEqual([1, { ready: false, starting: process.pid }])
  expect((await run('status', [], env)).err).toContain('is starting or stopping')
})

test('a start that cannot use its state folder says which setting moves it', async () => {
  const file = join(folder, 'not-a-folder')
  writeFileSync(file, '')
  const { code, out, err } = await run('start', [], { GATEHOUSE_STATE_DIR: join(file, 'below') })
  expect([code, out]).toEqual([1, ''])
  expect(err).toMatch(/^The state folder .*not-a-folder.* cannot be used \(ENOTDIR\)\. Set GATEHOUSE_STATE_DIR to a/)
})

test('reset deletes nothing without a yes, while somebody runs, or in a folder with anything foreign in it', async () => {
  const state = newState()
  mkdirSync(state)
  writeFileSync(join(state, 'master.key'), 'key')
  const env = { GATEHOUSE_STATE_DIR: state }
  expect(await run('reset', [], env)).toMatchObject({ code: 0, out: 'Nothing was deleted.\n' })
  holdLock(state, process.pid)
  expect(await run('reset', ['--yes'], env)).toMatchObject({ code: 1, err: expect.stringContaining('already runs') })
  rmSync(join(state, 'lock', '1'))
  writeFileSync(join(state, 'letters.txt'), 'dear')
  const refused = await run('reset', ['--yes'], env)
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('it holds letters.txt') })
  expect(existsSync(join(state, 'master.key'))).toBe(true)
  rmSync(join(state, 'letters.txt'))
  expect(await run('reset', ['--yes'], env)).toMatchObject({ code: 0, out: `Deleted ${state}.\n` })
  expect(existsSync(state)).toBe(false)
  expect(await run('reset', [], env)).toMatchObject({ code: 0, out: 'There is nothing to reset.\n' })
})
