// A child of the supervisor at awkward moments: stopped or restarted while its next process is only starting.
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, expect, test } from 'vitest'
import { startChild, type ChildOptions, type ManagedChild } from '../../workers/local/child.ts'
import { isAlive, until } from '../support/installation.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-child-'))
const entry = join(folder, 'entry.mjs')
// Writes its pid down, takes a while after its first time, and tells what it read when it began. Ends when told to.
writeFileSync(
  entry,
  `import { appendFileSync, readFileSync } from 'node:fs'
const folder = ${JSON.stringify(folder)}
const said = readFileSync(folder + '/version', 'utf8')
const pids = appendFileSync(folder + '/pids', process.pid + '\\n') ?? readFileSync(folder + '/pids', 'utf8').trim().split('\\n')
if (said === 'faulty') process.exit(3)
process.on('disconnect', () => process.exit())
setTimeout(() => process.send({ ready: true, url: 'http://127.0.0.1:1/' + said }), pids.length === 1 ? 0 : 1_500)
`,
)
let child: ManagedChild
let replaced = 0
const failures: string[] = []

const pids = () => readFileSync(join(folder, 'pids'), 'utf8').trim().split('\n').map(Number)
const setVersion = (text: string) => writeFileSync(join(folder, 'version'), text)

const options: ChildOptions = {
  name: 'entry',
  entry,
  env: process.env,
  cwd: fileURLToPath(new URL('../..', import.meta.url)),
  keepsPort: false,
  logFile: join(folder, 'log'),
  stopMs: 8_000,
  onReplaced: () => (replaced += 1),
  onFailed: (error) => void failures.push(error.message),
  signal: new AbortController().signal,
}

async function start(): Promise<void> {
  writeFileSync(join(folder, 'pids'), '')
  setVersion('one')
  replaced = 0
  child = await startChild(options)
}

afterEach(() => child.stop())
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a stop while the next process is starting leaves no process, and nobody is told of one', async () => {
  await start()
  process.kill(child.pid(), 'SIGKILL')
  await until(() => pids().length === 2, 10_000)
  const startedAt = performance.now()
  await child.stop()
  expect(performance.now() - startedAt).toBeLessThan(5_000)
  expect(pids().filter(isAlive)).toEqual([])
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  expect([pids().filter(isAlive), replaced]).toEqual([[], 0])
}, 30_000)

test('a restart that is asked for while the next process is starting is not lost', async () => {
  await start()
  process.kill(child.pid(), 'SIGKILL')
  await until(() => pids().length === 2, 10_000)
  setVersion('two')
  await child.restart()
  await until(() => child.facts().url?.endsWith('/two') === true, 10_000)
  expect(pids().filter(isAlive)).toEqual([child.pid()])
}, 30_000)

test('restarts that are asked for are no deaths: none waits longer than the last', async () => {
  await start()
  for (let round = 1; round <= 4; round += 1) {
    const startedAt = performance.now()
    await child.restart()
    await until(() => replaced === round, 10_000)
    expect(performance.now() - startedAt).toBeLessThan(3_000)
  }
}, 60_000)

test('a process that does not get ready is named, and the next one is tried', async () => {
  await start()
  setVersion('faulty')
  await child.restart()
  await until(() => failures.length > 0, 10_000)
  expect(failures[0]).toBe(`entry ended with 3 before it was ready; see ${join(folder, 'log')}.`)
  setVersion('mended')
  await until(() => child.facts().url?.endsWith('/mended') === true, 10_000)
}, 30_000)

test('a first start that is no longer wanted ends at once', async () => {
  await start()
  const ending = new AbortController()
  const starting = startChild({ ...options, signal: ending.signal })
  await until(() => pids().length === 2, 10_000)
  ending.abort()
  await expect(starting).rejects.toThrow('before it was ready')
  expect(pids().filter(isAlive)).toEqual([child.pid()])
}, 30_000)

test('the log is held open by the child alone', async () => {
  await start()
  const held = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === join(folder, 'log')
    } catch {
      return false
    }
  })
  expect(held).toEqual([])
})
