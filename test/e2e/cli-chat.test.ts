// A turn and its reader at the command line, against the whole installation: the reader dies and another one takes the
// turn up, an interrupt ends it, and nothing is paid twice.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { scrubbedEnvironment, startInstallation, until, type Installation } from '../support/installation.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const waitMs = 60_000

let house: Installation

beforeAll(async () => {
  house = await startInstallation({ readyMsMax: 150_000 })
  await house.cli(['login', '--new'])
}, 180_000)
afterAll(() => house?.[Symbol.asyncDispose](), 60_000)

async function steer(control: object): Promise<void> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(control) }
  expect((await fetch(`${(await house.run()).model}/control`, init)).status).toBe(200)
}

function start(...args: readonly string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'workers/cli.ts', ...args], {
    cwd: root,
    env: scrubbedEnvironment({
      GATEHOUSE_STATE_DIR: house.stateDir,
      XDG_CONFIG_HOME: join(house.stateDir, 'homes', 'person'),
    }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  return { child, said, ended }
}

type Line = { readonly type: string; readonly data: Readonly<Record<string, unknown>> | string }

const linesOf = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
const sessionsOf = async () =>
  (JSON.parse((await house.cli(['sessions', '--json'])).out) as { sessions: { id: string }[] }).sessions
const spends = async () =>
  (
    JSON.parse((await house.cli(['wallet', 'transactions', '--json'])).out) as { transactions: { type: string }[] }
  ).transactions.filter(({ type }) => type === 'spend').length

test('whoever comes back to a running turn reads all of it, and it is paid once', async () => {
  await steer({ hold: true })
  const first = start('chat', 'assistant', 'hello there', '--json')
  await until(() => first.said.out.includes('turn_accepted'), waitMs)
  first.child.kill('SIGKILL')
  await first.ended
  const second = start('resume', '--json')
  await until(() => second.said.out.includes('turn_accepted'), waitMs)
  await steer({})
  expect(await second.ended).toBe(0)
  const lines = linesOf(second.said.out)
  expect(lines.at(-1)).toMatchObject({ type: 'outcome', data: { state: 'done', exitCode: 0 } })
  const text = lines.map(({ type, data }) => (type === 'text' ? String(data) : '')).join('')
  expect(text).toContain('hello there')
  expect(await spends()).toBe(1)
  const shown = await house.cli(['resume'])
  expect(shown).toMatchObject({ code: 0, err: '' })
  expect(shown.out).toContain(`\nassistant\n${text}\n`)
}, 180_000)

test('Ctrl-C ends the turn at the gateway, and nothing runs in the session', async () => {
  await steer({ hold: true })
  const chat = start('chat', 'assistant', 'a long story', '--json')
  await until(() => chat.said.out.includes('turn_accepted'), waitMs)
  chat.child.kill('SIGINT')
  expect(await chat.ended).toBe(130)
  await steer({})
  expect(chat.said.err).toContain('The turn is cancelled.')
  expect(linesOf(chat.said.out).at(-1)).toMatchObject({ type: 'outcome', data: { state: 'cancelled', exitCode: 130 } })
  const [latest] = await sessionsOf()
  const session = JSON.parse((await house.cli(['sessions', 'show', latest?.id ?? '', '--json'])).out) as object
  expect(session).not.toHaveProperty('currentTurn')
}, 180_000)

test('sessions are deleted, and a deleted one cannot be resumed', async () => {
  const [latest] = await sessionsOf()
  expect(await house.cli(['sessions', 'delete', latest?.id ?? ''])).toMatchObject({ code: 0 })
  expect(await house.cli(['resume', latest?.id ?? ''])).toMatchObject({ code: 5 })
}, 180_000)
