// The command as a process: private files, exit codes, interrupts and pipes that close.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { samePressMs } from '../../domain/limits.ts'
import { done, frames, json, sessionRow, startApiDouble, stream, type ApiDouble } from '../support/api-double.ts'
import { scrubbedEnvironment, until } from '../support/installation.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const post = 'POST /agents/assistant/sessions/session-1/chat'
const cancel = 'POST /agents/assistant/sessions/session-1/turns/turn-1/cancel'

let api: ApiDouble
let folder: string

beforeEach(async () => {
  api = await startApiDouble()
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-cli-'))
  api.on('POST /wallet/faucet', json({}))
  api.on('GET /wallet/balance', json({ availableBalance: '5000000' }))
  api.on('POST /agents/assistant/sessions', json(sessionRow))
  api.on(cancel, json({}, 202))
})

afterEach(async () => {
  await api[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function start(entry: readonly string[], args: readonly string[], url = api.url) {
  const child = spawn(process.execPath, [...entry, ...args], {
    cwd: root,
    env: scrubbedEnvironment({ XDG_CONFIG_HOME: folder, GATEHOUSE_STATE_DIR: folder, GATEHOUSE_URL: url }),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  return { child, said, ended }
}

function signIn() {
  const stored = {
    kind: 'session',
    token: 't',
    expiresAt: '2999-01-31T12:00:00Z',
    walletAddress: '0xaa',
    keyFile: '/k',
  }
  mkdirSync(join(folder, 'gatehouse'))
  writeFileSync(join(folder, 'gatehouse/credentials.json'), JSON.stringify({ [api.url]: stored }))
}

const cli = ['--import', 'tsx', 'workers/cli.ts']

test('without a server the launcher ends with 8 and says how to start one', async () => {
  const { said, ended } = start(['scripts/gatehouse.mjs'], ['agents'], 'http://127.0.0.1:1')
  expect(await ended).toBe(8)
  expect(said.err).toContain('npm start')
})

test('keys and tokens are files only their owner can read', async () => {
  const { said, ended } = start(cli, ['login', '--new', '--json'])
  expect(await ended).toBe(0)
  const { keyFile, playMoney } = JSON.parse(said.out) as { keyFile: string; playMoney: string }
  expect(playMoney).toBe('5000000')
  expect(readFileSync(keyFile, 'utf8')).toMatch(/^0x[0-9a-f]{64}\n$/)
  const modes = [keyFile, join(keyFile, '..'), join(folder, 'gatehouse'), join(folder, 'gatehouse/credentials.json')]
  expect(modes.map((path) => (statSync(path).mode & 0o777).toString(8))).toEqual(['600', '700', '700', '600'])
})

test('many sign-ins at once, each at its own server, are all remembered', async () => {
  const more = await Promise.all(Array.from({ length: 4 }, () => startApiDouble()))
  const logins = more.map(({ url }) => start(cli, ['login', '--new', '--json', '--url', url]))
  expect(await Promise.all(logins.map(({ ended }) => ended))).toEqual([0, 0, 0, 0])
  const known = JSON.parse(readFileSync(join(folder, 'gatehouse/credentials.json'), 'utf8')) as object
  expect(Object.keys(known).toSorted()).toEqual(more.map(({ url }) => url).toSorted())
  expect(readdirSync(join(folder, 'gatehouse')).toSorted()).toEqual(['credentials.json', 'keys', 'lock'])
  for (const each of more) await each[Symbol.asyncDispose]()
}, 60_000)

test.each([
  { what: 'a folder for a key', args: ['login', '--private-key', '.'], says: /is a folder\.$/ },
  {
    what: 'a folder for the credentials',
    prepare: () => mkdirSync(join(folder, 'gatehouse/credentials.json'), { recursive: true }),
    says: /credentials\.json is a folder\.$/,
  },
  {
    what: 'a file for the folder of keys',
    args: ['login', '--new'],
    prepare: () => writeFileSync(join(folder, 'gatehouse'), ''),
    says: /gatehouse.* lies below something that is no folder\.$/,
  },
  {
    what: 'credentials that are torn',
    prepare: () => {
      mkdirSync(join(folder, 'gatehouse'))
      writeFileSync(join(folder, 'gatehouse/credentials.json'), '{"http')
    },
    says: /credentials\.json does not hold what it should; remove it and sign in again\.$/,
  },
  {
    what: 'a log for a key',
    args: ['login', '--private-key', 'FOLDER/large.log'],
    prepare: () => writeFileSync(join(folder, 'large.log'), 'x'.repeat(1_000_001)),
    says: /large\.log is too large\.$/,
  },
])('$what ends with a code and a sentence', async ({ args = ['wallet', 'balance'], prepare, says }) => {
  prepare?.()
  const words = args.map((word) => word.replace('FOLDER', folder))
  const { said, ended } = start(cli, [...words, '--json'])
  expect(await ended).toBe(9)
  const { error, exitCode } = JSON.parse(said.err) as { error: { code: string; message: string }; exitCode: number }
  expect([error.code, exitCode]).toEqual(['FILE', 9])
  expect(error.message).toMatch(says)
})

test('an interrupt in a streaming turn cancels it and ends with 130', async () => {
  api.on(post, stream(frames([['text', 'Once upon']]), 'silence'))
  signIn()
  const { child, said, ended } = start(cli, ['chat', 'assistant', 'a story'])
  await until(() => said.out.includes('Once upon'), 10_000)
  child.kill('SIGINT')
  expect(await ended).toBe(130)
  expect(api.to(cancel)).toHaveLength(1)
})

test('a second interrupt ends at once, and what it says brings the turn back', async () => {
  let hangs = 0
  api.on(post, stream(frames([['text', 'Once upon']]), 'silence'))
  api.on(cancel, () => void (hangs += 1)) // a gateway that does not answer
  api.on('GET /wallet/sessions', json({ sessions: [sessionRow] }))
  const currentTurn = { turnId: 'turn-1', state: 'running' }
  api.on('GET /agents/assistant/sessions/session-1', json({ ...sessionRow, currentTurn }), json(sessionRow))
  api.on(
    'GET /agents/assistant/sessions/session-1/turns/turn-1/stream',
    stream(frames([['text', 'Once upon a time.'], done()])),
  )
  signIn()
  const { child, said, ended } = start(cli, ['chat', 'assistant', 'a story'])
  await until(() => said.out.includes('Once upon'), 10_000)
  child.kill('SIGINT')
  await until(() => hangs === 1 && said.err.includes('Ctrl-C again'), 10_000)
  await new Promise((resolve) => setTimeout(resolve, 2 * samePressMs))
  child.kill('SIGINT')
  expect(await ended).toBe(130)
  const back = /Come back to it: npx --no gatehouse (resume session-1)\n$/.exec(said.err)?.[1] ?? ''
  const resumed = start(cli, back.split(' '))
  expect(await resumed.ended).toBe(0)
  expect(resumed.said.out).toContain('Once upon a time.\ncost $0.0028')
}, 60_000)

test('one press that two senders deliver is one', async () => {
  api.on(cancel, () => undefined)
  api.on(post, stream(frames([['text', 'Once upon']]), 'silence'))
  signIn()
  const { child, said, ended } = start(cli, ['chat', 'assistant', 'a story'])
  await until(() => said.out.includes('Once upon'), 10_000)
  child.kill('SIGINT')
  child.kill('SIGINT')
  await until(() => api.to(cancel).length === 1, 10_000)
  await ended
  expect(said.err.split('Cancelling the turn.')).toHaveLength(2)
})

test('piped lines and NO_COLOR: no escape reaches the output, and stdout is JSON alone under --json', async () => {
  signIn()
  api.on(post, stream(frames([['text', 'a\u001B[2J\u009B'], done()])))
  for (const more of [[], ['--json']]) {
    const { child, said, ended } = start(cli, ['chat', 'assistant', ...more])
    child.stdin.end('hi\nho\n')
    expect(await ended).toBe(0)
    expect(`${said.out}${said.err}`).not.toMatch(/(?!\n)\p{Cc}/u)
    if (more.length > 0) for (const line of said.out.trimEnd().split('\n')) JSON.parse(line)
  }
  expect(api.to(post).map(({ body }) => body['message'])).toEqual(['hi', 'ho', 'hi', 'ho'])
}, 60_000)

test('an interrupt while waiting for a line ends with 130', async () => {
  signIn()
  const { child, said, ended } = start(cli, ['chat', 'assistant'])
  await until(() => said.err.includes('session-1'), 10_000)
  child.kill('SIGINT')
  expect(await ended).toBe(130)
  expect(api.to(post)).toEqual([])
})

test('a reader that leaves cancels the turn', async () => {
  signIn()
  api.on(post, (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-turn-id': 'turn-1' })
    let seq = 0
    const timer = setInterval(() => response.write(frames([['text', 'more ']], ++seq)), 20)
    response.on('close', () => clearInterval(timer))
  })
  const { child, said, ended } = start(cli, ['chat', 'assistant', 'a story'])
  await until(() => said.out.includes('more'), 10_000)
  child.stdout.destroy()
  expect(await ended).toBe(130)
  expect(api.to(cancel)).toHaveLength(1)
})
