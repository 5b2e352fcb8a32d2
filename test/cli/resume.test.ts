// Back to a session and its running turn: what is shown, what is read, how it ends.
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { TypedLine } from '../../cli/deps.ts'
import {
  done,
  frames,
  json,
  refuse,
  sessionRow,
  startApiDouble,
  stream,
  type ApiDouble,
} from '../support/api-double.ts'
import { signedInDesk, type Desk } from '../support/cli.ts'

let api: ApiDouble
let desk: Desk
const get = 'GET /agents/assistant/sessions/session-1'
const watch = 'GET /agents/assistant/sessions/session-1/turns/turn-1/stream'
const messages = [
  { role: 'user', content: 'add \u001B[2J2 and 40' },
  { role: 'assistant', content: 'It is 42.' },
]
const running = { ...sessionRow, messages, currentTurn: { turnId: 'turn-1', state: 'running' } }

beforeEach(async () => {
  api = await startApiDouble()
  desk = signedInDesk(api.url)
  api.on('GET /wallet/sessions', json({ sessions: [sessionRow] }))
  api.on(get, json({ ...sessionRow, messages }))
  api.on(watch, stream(frames([['text', 'More.'], done()])))
})
afterEach(() => api[Symbol.asyncDispose]())

test('a session that is not there is not found, and without any there is none to resume', async () => {
  api.on('GET /wallet/sessions', json({ sessions: [] }))
  expect(await desk.run(['resume', 'session-9'])).toMatchObject({ code: 5, out: '' })
  expect((await desk.run(['resume'])).err).toContain('There are no sessions yet.')
  expect((await desk.run(['resume', 'a', 'b'])).code).toBe(2)
})

test('an idle session is shown, and nothing is sent', async () => {
  const ran = await desk.run(['sessions', 'resume', 'session-1'])
  expect(ran).toEqual({
    code: 0,
    err: '',
    out: 'Session session-1 with assistant\n\nuser\nadd [2J2 and 40\n\nassistant\nIt is 42.\n',
  })
  expect(api.asked.filter(({ method }) => method !== 'GET')).toEqual([])
})

test('only the last messages are shown, with the command for all', async () => {
  const many = Array.from({ length: 25 }, (_, index) => ({ role: 'user', content: `message ${index}` }))
  api.on(get, json({ ...sessionRow, messages: many }))
  const { out } = await desk.run(['resume', 'session-1'])
  expect(out).toContain('5 earlier: npx --no gatehouse sessions show session-1\n')
  expect(out).not.toContain('message 4\n')
  expect(out).toContain('message 5\n')
})

test('a running turn is read from its beginning, then the next one that waited', async () => {
  const second = { ...running, currentTurn: { turnId: 'turn-2', state: 'running' } }
  api.on(get, json(running), json(second), json({ ...sessionRow, messages }))
  api.on(
    watch.replace('turn-1', 'turn-2'),
    stream(frames([['error', { code: 'POLICY_REFUSED', message: 'No.' }]]), 'end', 'turn-2'),
  )
  const ran = await desk.run(['resume'])
  expect(ran.code).toBe(4)
  expect(ran.out).toContain('\nassistant\nMore.\ncost $0.0028')
  expect(ran.err).toBe('The turn ended: No. (POLICY_REFUSED)\n')
})

test('under --json a resumed turn is its events and its outcome, without a transcript', async () => {
  api.on(get, json(running), json({ ...sessionRow, messages }))
  const { out, err } = await desk.run(['resume', 'session-1', '--json'])
  const lines = out.trimEnd().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual([
    'session',
    'text',
    'done',
    'outcome',
  ])
  expect(err).toBe('')
})

test('a turn that cannot be read says why and how to try again', async () => {
  api.on(get, json(running))
  api.on(watch, refuse(404, 'NOT_FOUND'))
  expect((await desk.run(['resume', 'session-1'])).code).toBe(5)
})

test('on a terminal the conversation goes on, and the arrow keys know what was asked', async () => {
  const histories: (readonly string[])[] = []
  const lines: TypedLine[] = [{ kind: 'text', text: 'and 3 more' }, { kind: 'end' }]
  const openEditor = (history: readonly string[]) => {
    histories.push(history)
    return { ask: async () => lines.shift() ?? ({ kind: 'end' } as const) }
  }
  const post = 'POST /agents/assistant/sessions/session-1/chat'
  api.on(post, stream(frames([['text', '45.'], done()])))
  for (const words of [
    ['resume', 'session-1'],
    ['chat', 'assistant', '--session', 'session-1'],
  ]) {
    lines.unshift({ kind: 'text', text: 'and 3 more' })
    const ran = await desk.run(words, { isInputTty: true, openEditor })
    expect(ran.code).toBe(0)
    expect(ran.out).toContain('It is 42.\n45.\n')
  }
  expect(histories).toEqual([['add [2J2 and 40'], ['add [2J2 and 40']])
})
