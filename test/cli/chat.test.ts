// A conversation on the terminal, in a pipe and as JSON lines.
import { afterEach, beforeEach, expect, test } from 'vitest'
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
const answer = frames([
  ['status', { code: 'turn_accepted', turnId: 'turn-1' }],
  ['text', 'Let me '],
  ['text', 'add.'],
  ['tool_call', { id: 'c1', name: 'get-sum', args: { a: 2, b: 40 } }],
  ['tool_result', { id: 'c1', name: 'get-sum', isError: false, content: 'The sum is\n42.' }],
  ['text', 'It is 42.'],
  done(),
])

beforeEach(async () => {
  api = await startApiDouble()
  desk = signedInDesk(api.url)
  api.on('POST /agents/assistant/sessions', json(sessionRow))
  api.on(post, stream(answer))
})

afterEach(() => api[Symbol.asyncDispose]())

const chat = (...args: string[]) => desk.run(['chat', 'assistant', ...args])

test.each([
  ['words without quotes', ['assistant', 'add', '2'], 'Put the message in quotes.'],
  ['an empty message', ['assistant', ' '], 'The message is empty.'],
  [
    'a model for an old session',
    ['assistant', 'hi', '--session', 's', '--model', 'm'],
    '--model belongs to a new session',
  ],
  ['an unknown option', ['assistant', 'hi', '--fast'], "Unknown option '--fast'"],
])('%s is a usage error', async (_what, args, sentence) => {
  const ran = await desk.run(['chat', ...args])
  expect(ran.code).toBe(2)
  expect(ran.err).toContain(sentence)
  expect(ran.err).toContain('npx --no gatehouse chat --help')
  expect(api.asked).toEqual([])
})

test('without an agent the only one is meant; of several none is', async () => {
  const one = { id: 'assistant', name: 'Assistant' }
  api.on('GET /agents', json({ agents: [one] }), json({ agents: [one, { id: 'b', name: 'B' }] }), json({ agents: [] }))
  const inputLines = () => linesOf(['hi'])
  expect(await desk.run(['chat'], { inputLines })).toMatchObject({ code: 0, err: note })
  expect(api.to(post).map((each) => each.body)).toEqual([{ message: 'hi' }])
  const several = await desk.run(['chat'], { inputLines })
  expect(several.code).toBe(2)
  expect(several.err).toContain('<AGENT> is missing; there are assistant, b.\nSee: npx --no gatehouse chat --help')
  expect((await desk.run(['chat'], { inputLines })).err).toContain('<AGENT> is missing; there are no agents.')
  expect(api.to('POST /agents/assistant/sessions')).toHaveLength(1)
})

test('a session knows its agent', async () => {
  api.on('GET /wallet/sessions', json({ sessions: [sessionRow] }))
  api.on('GET /agents/assistant/sessions/session-1', json({ ...sessionRow, messages: [] }))
  const ran = await desk.run(['chat', '--session', 'session-1'], { inputLines: () => linesOf(['hi']) })
  expect(ran.code).toBe(0)
  expect(api.to(post)).toHaveLength(1)
})

test('without funds it exits with 6 and says what was needed', async () => {
  api.on(post, refuse(402, 'INSUFFICIENT_FUNDS', { required: '900000', available: '12' }))
  const ran = await chat('hi')
  expect(ran.code).toBe(6)
  expect(ran.err).toContain('Needed $0.90, available $0.000012.\n')
  expect(ran.err).toContain('wallet faucet')
})

test('too many requests exit with 7 and the wait', async () => {
  api.on(post, refuse(429, 'RATE_LIMITED', { headers: { 'retry-after': '9' } }))
  const ran = await chat('hi')
  expect(ran.code).toBe(7)
  expect(ran.err).toContain('Try again in 9 s.')
})

test('an unavailable server exits with 8 and names the request', async () => {
  api.on('POST /agents/assistant/sessions', refuse(503, 'UNAVAILABLE', { headers: { 'retry-after': '2' } }))
  const ran = await chat('hi')
  expect(ran).toEqual({
    code: 8,
    out: '',
    err: 'gatehouse: Refused with UNAVAILABLE.\nTry again in 2 s.\nRequest request-1.\n',
  })
})

test.each([
  ['INSUFFICIENT_FUNDS', 6],
  ['insufficient-funds', 6],
  ['POLICY_REFUSED', 4],
  ['SESSION_REVOKED', 3],
  ['UPSTREAM_TIMEOUT', 8],
  ['TURN_CANCELLED', 130],
  ['SOMETHING_NEW', 1],
])('a turn that ends in %s exits with %s', async (code, exitCode) => {
  api.on(
    post,
    stream(
      frames([
        ['text', 'Well'],
        ['error', { code, message: 'No more.' }],
      ]),
    ),
  )
  expect(await chat('hi')).toEqual({
    code: exitCode,
    out: 'Well\n',
    err: `${note}The turn ended: No more. (${code})\n`,
  })
})

test('an answer cannot command the terminal', async () => {
  const evil = 'a\u001B[2Jb\u0007\u009Bc\u202Ed\r'
  api.on(
    post,
    stream(frames([['text', evil], ['tool_result', { id: 'c', name: `x${evil}`, result: { evil } }], done()])),
  )
  const ran = await desk.run(['chat', 'assistant', 'hi'], { isTty: true })
  expect(ran.out).toContain('a[2Jbcd')
  // What is left are our own colours.
  const ours = ['\u001B[0m', '\u001B[1m', '\u001B[2m']
  expect(ours.reduce((text, colour) => text.replaceAll(colour, ''), ran.out)).not.toMatch(/(?!\n)\p{Cc}/u)
})

test('JSON lines cannot command the terminal either, and say the same', async () => {
  const evil = 'a\u009B2J\u0085b\u2028c\u202Ed\u007F'
  api.on(post, stream(frames([['text', evil], done()])))
  const ran = await chat('hi', '--json')
  expect(ran.out).not.toMatch(/[\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/u)
  const said = ran.out.trimEnd().split('\n')
  expect(said.map((line) => JSON.parse(line) as unknown)).toContainEqual({ type: 'text', id: '1', data: evil })
})

test('thoughts are shown to a person, colours only when wanted', async () => {
  api.on(post, stream(frames([['thinking', 'Hm.'], ['text', 'Well.'], done()])))
  const plain = await desk.run(['chat', 'assistant', 'hi'], { isTty: true, hasColours: false })
  expect(plain.out).toMatch(/^Hm\.\nWell\.\ncost/)
  expect(plain.out).not.toContain('\u001B')
  const coloured = await desk.run(['chat', 'assistant', 'hi'], { isTty: true })
  expect(coloured.out).toContain('\u001B[2mHm.\u001B[0m')
})

test('prints the answer, the tools and the cost', async () => {
  expect(await chat('add 2 and 40 with the tool')).toEqual({
    code: 0,
    err: note,
    out: [
      'Let me add.',
      '→ get-sum {"a":2,"b":40}',
      '← get-sum The sum is 42.',
      'It is 42.',
      'cost $0.0028 · 1 tool call · 12 tokens in, 7 out · scripted · $4.9972 left',
      '',
    ].join('\n'),
  })
  expect(api.to(post)[0]?.body).toEqual({ message: 'add 2 and 40 with the tool' })
})

test('a session is reused, a model is passed on', async () => {
  expect((await chat('hi', '--session', 'session-1')).err).toBe('')
  expect(api.to('POST /agents/assistant/sessions')).toEqual([])
  await chat('hi', '--model', 'haiku')
  expect(api.to('POST /agents/assistant/sessions')[0]?.body).toEqual({ model: 'haiku' })
})

test('--json is one event per line, the session first', async () => {
  const ran = await chat('hi', '--json')
  const lines = ran.out.trimEnd().split('\n')
  const events = lines.map((line) => JSON.parse(line) as { type: string; id?: string })
  expect(events[0]).toEqual({ type: 'session', data: { id: 'session-1', agentId: 'assistant' } })
  expect(events.map((event) => event.type)).toEqual([
    'session',
    'status',
    'text',
    'text',
    'tool_call',
    'tool_result',
    'text',
    'done',
    'outcome',
  ])
  expect(events.at(-2)?.id).toBe('7')
  expect(events.at(-1)).toEqual({ type: 'outcome', data: { turnId: 'turn-1', state: 'done', exitCode: 0 } })
  expect(ran.err).toBe('')
})

test('a failure under --json is one JSON text beside the output', async () => {
  api.on(post, refuse(402, 'INSUFFICIENT_FUNDS', { required: '9' }))
  const ran = await chat('hi', '--json')
  expect(JSON.parse(ran.err)).toMatchObject({
    error: { code: 'INSUFFICIENT_FUNDS', status: 402, requestId: 'request-1', details: { required: '9' } },
    exitCode: 6,
  })
})

test('under --json how a turn ended is a line even where it was refused', async () => {
  api.on(post, refuse(402, 'INSUFFICIENT_FUNDS'))
  const { out } = await chat('hi', '--json')
  expect(JSON.parse(out.trimEnd().split('\n').at(-1) ?? '')).toEqual({
    type: 'outcome',
    data: { turnId: null, state: 'failed', code: 'INSUFFICIENT_FUNDS', exitCode: 6 },
  })
})

test('each line of the input is a message of one session, until /quit', async () => {
  const inputLines = () => linesOf(['one', '', '  ', 'two', '/quit', 'three'])
  const ran = await desk.run(['chat', 'assistant'], { inputLines })
  expect(ran.code).toBe(0)
  expect(api.to(post).map((one) => one.body['message'])).toEqual(['one', 'two'])
  expect(api.to('POST /agents/assistant/sessions')).toHaveLength(1)
  expect(ran.err).toBe(note)
})

test('a person who types sees a prompt', async () => {
  const ran = await desk.run(['chat', 'assistant'], { inputLines: () => linesOf(['hi']), isInputTty: true })
  expect(ran.err).toBe(`${note}you> you> `)
})

test('the message - is the whole input', async () => {
  await desk.run(['chat', 'assistant', '-'], { inputLines: () => linesOf(['line one', 'line two']) })
  expect(api.to(post)[0]?.body).toEqual({ message: 'line one\nline two' })
})

test('an interrupt cancels the turn on the server', async () => {
  const cancel = 'POST /agents/assistant/sessions/session-1/turns/turn-1/cancel'
  api.on(cancel, json({}, 202))
  api.on(post, stream(frames([['text', 'Once upon']]), 'silence'))
  const interrupt = new AbortController()
  const out = (text: string) => {
    if (text.includes('Once')) interrupt.abort()
  }
  const ran = await desk.run(['chat', 'assistant', 'hi'], { signal: interrupt.signal, out })
  expect(ran).toMatchObject({ code: 130, err: `${note}The turn is cancelled.\n` })
  expect(api.to(cancel)).toHaveLength(1)
})

test('a restarted attempt and a place in the queue are told', async () => {
  const events = [
    ['status', { code: 'queued', position: 2 }],
    ['text', 'Wro'],
    ['status', { code: 'attempt_restarted', discardFromSeq: 2 }],
    ['text', 'Right.'],
    done(),
  ] as const
  api.on(post, stream(frames(events)))
  expect((await chat('hi')).out).toContain(
    'Waits in the queue, place 2.\nWro\nThe answer was interrupted and begins again:\nRight.\n',
  )
})
