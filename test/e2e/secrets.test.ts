// Secrets that are said everywhere are found nowhere: a provider that repeats the key, people who write in confidence, a
// worker that dies with all of it in memory.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSecretsPlay, type SecretsPlay } from '../support/secrets-play.ts'
import { lastOf, textOf } from '../support/person.ts'

let play: SecretsPlay
let key: string
beforeAll(async () => {
  play = await openSecretsPlay()
  key = play.keys[0]?.value ?? ''
}, 120_000)
afterAll(() => play[Symbol.asyncDispose](), 60_000)

test('a model that says the key, in any form and in pieces, is heard without it', async () => {
  const said = play.plant('answer')
  const hex = Buffer.from(key).toString('hex')
  await play.control({ say: `${said}: ${key}, ${hex}, ${Buffer.from(`key ${key}`).toString('base64')}.` })
  const reply = await play.chat(`tell me, ${play.plant('prompt')}`)
  expect(lastOf(reply).type).toBe('done')
  expect(textOf(reply)).toMatch(
    new RegExp(
      `^${said}: \\[REDACTED:ANTHROPIC_API_KEY\\], \\[REDACTED:ANTHROPIC_API_KEY\\], .+\\[REDACTED:ANTHROPIC_API_KEY\\].*\\.$`,
    ),
  )
})

test('a tool that is asked for with the key and repeats it', async () => {
  const word = play.plant('tool')
  await play.control({ say: { tool: 'everything__echo', input: { message: `${word} ${key}` } } })
  const reply = await play.chat('repeat it')
  expect(lastOf(reply)).toMatchObject({ type: 'done', data: { toolCallCount: 1 } })
  expect(textOf(reply)).toContain(word)
})

test('a refused key whose error quotes it, and callers who send words where none belong', async () => {
  await play.control({ fail: { times: 1, status: 401, message: `${key} is not known, ${play.plant('error')}` } })
  expect(lastOf(await play.chat('hello')).data).toMatchObject({ code: 'upstream-refused' })
  const { port } = play.house
  const strange = await fetch(`http://127.0.0.1:${port}/wallet/balance?key=${play.plant('query')}`, {
    headers: {
      authorization: `Bearer ${play.plant('header')}`,
      cookie: `a=${play.plant('cookie')}`,
      'user-agent': play.plant('agent'),
    },
  })
  expect(strange.status).toBe(401)
})

test('a turn that is cancelled, and one whose worker is killed', async () => {
  await play.control({ say: `${play.plant('answer')} ${key} `.repeat(40), chunkMs: 15 })
  const sessionId = await play.person.openSession('assistant', 'haiku')
  const reply = await fetch(`http://127.0.0.1:${play.house.port}/agents/assistant/sessions/${sessionId}/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${play.person.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ message: play.plant('prompt') }),
  })
  const reader = reply.body?.getReader()
  await reader?.read()
  const turn = reply.headers.get('x-turn-id')
  expect((await play.person.call('POST', `/agents/assistant/sessions/${sessionId}/turns/${turn}/cancel`)).status).toBe(
    202,
  )
  while ((await reader?.read())?.done === false);
  const killed = play.chat(`go on, ${play.plant('prompt')}`)
  await new Promise((resolve) => setTimeout(resolve, 700))
  for (const pid of (await play.house.run()).pids.durable) process.kill(pid, 'SIGKILL')
  expect(lastOf(await killed).type).toBe('done')
}, 60_000)

test('nothing of it is in replies, histories, metrics, logs, or any file of Temporal and Postgres', async () => {
  expect(await play.search()).toEqual([])
}, 60_000)
