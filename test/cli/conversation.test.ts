// A conversation on a terminal: words with a slash, refusals that end a turn only, and leaving.
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
import { linesOf, signedInDesk, type Desk } from '../support/cli.ts'

let api: ApiDouble
let desk: Desk
const post = 'POST /agents/assistant/sessions/session-1/chat'
const note = 'Session session-1 (go on: npx --no gatehouse chat assistant --session session-1)\n'

beforeEach(async () => {
  api = await startApiDouble()
  desk = signedInDesk(api.url)
  api.on('POST /agents/assistant/sessions', json(sessionRow))
  api.on(post, stream(frames([['text', 'Yes.'], done()])))
})
afterEach(() => api[Symbol.asyncDispose]())

const talk = (lines: readonly (string | TypedLine)[], ...more: string[]) => {
  const typed = lines.map((line): TypedLine => (typeof line === 'string' ? { kind: 'text', text: line } : line))
  const openEditor = () => ({ ask: async () => typed.shift() ?? ({ kind: 'end' } as const) })
  return desk.run(['chat', 'assistant', ...more], { isInputTty: true, openEditor })
}
const sent = () => api.to(post).map(({ body }) => body['message'])

test('an unknown word with a slash is told and not sent; two slashes send one', async () => {
  const ran = await talk(['/fly away', '/constructor', '//fly', '/quit', 'never'])
  expect(ran.code).toBe(0)
  expect(ran.err).toContain('There is no /fly; /help lists the words. To send it, begin with //.\n')
  expect(ran.err).toContain('There is no /constructor;')
  expect(sent()).toEqual(['/fly'])
})

test('in a pipe a slash is nothing special, but /quit', async () => {
  await desk.run(['chat', 'assistant'], { inputLines: () => linesOf(['/help', '//x', '/quit', 'never']) })
  expect(sent()).toEqual(['/help', '//x'])
})

test('/help names every word', async () => {
  const { err, out } = await talk(['/help'])
  for (const word of ['/help', '/cost', '/sessions', '/quit', 'Ctrl-C']) expect(err).toContain(word)
  expect(out).toBe('')
})

test('/cost is what the turns here have cost, and what is left', async () => {
  api.on('GET /wallet/balance', json({ availableBalance: '4994400' }))
  const { err } = await talk(['/cost', 'a', 'b', '/cost'])
  expect(err).toContain('0 turns here for $0.00; $4.9944 left.\n')
  expect(err).toContain('2 turns here for $0.0056; $4.9944 left.\n')
})

test('/sessions lists them beside the answers, also under --json', async () => {
  api.on('GET /wallet/sessions', json({ sessions: [{ ...sessionRow, preview: 'add' }] }))
  const { err, out } = await talk(['/sessions', 'hi'], '--json')
  expect(err).toContain('session-1  assistant  2026-01-31 12:00   0         add\n')
  for (const line of out.trimEnd().split('\n')) JSON.parse(line)
})

test('a refusal ends its turn and not the conversation; a lost sign-in ends both', async () => {
  api.on(
    post,
    refuse(402, 'INSUFFICIENT_FUNDS'),
    stream(frames([['text', 'Yes.'], done()])),
    refuse(401, 'TOKEN_EXPIRED'),
  )
  const ran = await talk(['one', 'two', 'three', 'four'])
  expect(sent()).toEqual(['one', 'two', 'three'])
  expect(ran.out).toContain('Yes.\n')
  expect(ran.err).toContain('gatehouse: Refused with INSUFFICIENT_FUNDS.\n')
  expect(ran.err).toContain('wallet faucet')
  expect(ran.code).toBe(3)
})

test('a cancelled turn does not end the conversation', async () => {
  api.on(
    post,
    stream(frames([['error', { code: 'TURN_CANCELLED', message: 'Ended.' }]])),
    stream(frames([['text', 'Yes.'], done()])),
  )
  expect(await talk(['one', 'two'])).toMatchObject({ code: 0 })
  expect(sent()).toEqual(['one', 'two'])
})

test('Ctrl-C on an empty line leaves with 130 and says the way back', async () => {
  expect(await talk([{ kind: 'interrupt' }, 'never'])).toEqual({
    code: 130,
    out: '',
    err: `${note}Come back: npx --no gatehouse resume session-1\n`,
  })
})
