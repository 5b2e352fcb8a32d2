// Ctrl-C in a turn: the first one cancels at the gateway, the second one leaves. What is said is what is known.
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { CliDeps } from '../../cli/deps.ts'
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
import { until } from '../support/installation.ts'

let api: ApiDouble
let desk: Desk
let press: () => void
let heard: number
const post = 'POST /agents/assistant/sessions/session-1/chat'
const cancel = 'POST /agents/assistant/sessions/session-1/turns/turn-1/cancel'
const story = stream(frames([['text', 'Once upon']]), 'silence')

beforeEach(async () => {
  api = await startApiDouble()
  desk = signedInDesk(api.url)
  api.on('POST /agents/assistant/sessions', json(sessionRow))
  api.on(post, story)
  press = () => {
    throw new Error('Nobody listens.')
  }
  heard = 0
})
afterEach(() => api[Symbol.asyncDispose]())

const onInterrupt: CliDeps['onInterrupt'] = (listener) => {
  heard += 1
  press = listener
  return () => void (heard -= 1)
}

/** Has the story end with these events when the returned function is called. */
function endingWith(events: Parameters<typeof frames>[0]): () => void {
  let end = () => undefined as void
  api.on(post, (response, asked) => {
    story(response, asked)
    end = () => void response.end(frames(events, 2))
  })
  return () => end()
}

/** Runs a chat that is interrupted when the answer has begun; `more` are further words. */
async function interrupted(work: () => Promise<void> | void, ...more: string[]) {
  let out = ''
  let err = ''
  const running = desk.run(['chat', 'assistant', 'a story', '--session', 'session-1', ...more], {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    onInterrupt,
  })
  await until(() => out.includes('Once'), 10_000)
  await work()
  const { code } = await running
  expect(heard).toBe(0)
  return { code, out, err }
}

test('the first one cancels the turn, and its last words are still read', async () => {
  const finish = endingWith([
    ['text', ' a time'],
    ['error', { code: 'TURN_CANCELLED', message: 'The turn was ended.' }],
  ])
  api.on(cancel, (response, asked) => {
    json({}, 202)(response, asked)
    finish()
  })
  const ran = await interrupted(() => press())
  expect(ran).toMatchObject({ code: 130, out: 'Once upon a time\n' })
  expect(ran.err).toBe(
    'Cancelling the turn. Ctrl-C again leaves it to itself.\nThe turn ended: The turn was ended. (TURN_CANCELLED)\n' +
      'The turn is cancelled.\n',
  )
  expect(api.to(cancel)).toHaveLength(1)
})

test('the second one leaves the turn running, and says the command that comes back', async () => {
  api.on(cancel, () => undefined) // a gateway that does not answer
  const ran = await interrupted(async () => {
    press()
    await until(() => api.to(cancel).length === 1, 10_000)
    press()
  })
  expect(ran.code).toBe(130)
  expect(ran.err).toContain('The turn runs on without you. Come back to it: npx --no gatehouse resume session-1\n')
})

test('a cancel that is refused is said, with its reason', async () => {
  api.on(cancel, refuse(503, 'UNAVAILABLE'))
  const ran = await interrupted(() => press(), '--url', api.url)
  expect(ran.code).toBe(130)
  expect(ran.err).toContain(
    `The turn runs on without you (Refused with UNAVAILABLE.). Come back to it: npx --no gatehouse resume session-1 --url ${api.url}\n`,
  )
})

test('a turn that ended just before is said to have', async () => {
  const finish = endingWith([done()])
  api.on(cancel, (response, asked) => {
    refuse(409, 'TURN_CONFLICT')(response, asked)
    finish()
  })
  const ran = await interrupted(() => press())
  expect(ran.code).toBe(0)
  expect(ran.err).toContain('\nThe turn had already ended.\n')
})

test('a gateway that took the cancel and then says nothing is left after a while', async () => {
  api.on(cancel, json({}, 202))
  const ran = await interrupted(() => press())
  expect(ran.code).toBe(130)
  expect(ran.err).toContain('The turn is cancelled. See what was said: npx --no gatehouse resume session-1\n')
})

test('under --json the outcome says that the turn was left, and prose stays beside the output', async () => {
  api.on(cancel, refuse(503, 'UNAVAILABLE'))
  const ran = await interrupted(() => press(), '--json')
  const lines = ran.out.trimEnd().split('\n')
  expect(JSON.parse(lines.at(-1) ?? '')).toEqual({
    type: 'outcome',
    data: { turnId: 'turn-1', state: 'left', exitCode: 130 },
  })
  for (const line of lines) JSON.parse(line)
})

test('an interrupt before the server has named the turn is kept until it has', async () => {
  let begin = () => undefined as void
  api.on(post, (response, asked) => {
    begin = () => story(response, asked)
  })
  api.on(cancel, json({}, 202))
  let err = ''
  const running = desk.run(['chat', 'assistant', 'a story', '--session', 'session-1'], {
    err: (text) => void (err += text),
    onInterrupt,
  })
  await until(() => api.to(post).length === 1, 10_000)
  press()
  expect(api.to(cancel)).toEqual([])
  begin()
  await until(() => api.to(cancel).length === 1, 10_000)
  press()
  expect((await running).code).toBe(130)
  expect(err).toContain('resume session-1')
})
