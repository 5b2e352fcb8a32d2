import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createModelUpstream, platformCredential, type ModelUpstream } from '../../clients/models.ts'
import type { ModelEvent, ModelRequest } from '../../schemas/model.ts'
import { startScriptedModel } from '../../workers/local/scripted-model.ts'

const ending = new AbortController()
let url: string
let upstream: ModelUpstream

beforeAll(async () => {
  ;({ url } = await startScriptedModel({ port: 0, signal: ending.signal }))
  upstream = createModelUpstream({ baseUrl: url, credential: platformCredential('planted-key-1234') })
})
afterAll(() => ending.abort())
beforeEach(() => control({}))

const control = async (settings: object) => {
  await fetch(`${url}/control`, { method: 'POST', body: JSON.stringify(settings) })
}

const ask = (text: string, tools: ModelRequest['tools'] = []): ModelRequest => ({
  model: 'scripted-1',
  maxTokens: 100,
  system: 'Be brief.',
  messages: [{ role: 'user', content: [{ type: 'text', text }] }],
  tools,
})

async function all(request: ModelRequest, signal = new AbortController().signal): Promise<ModelEvent[]> {
  const events: ModelEvent[] = []
  for await (const event of upstream.stream(request, { signal })) events.push(event)
  return events
}

test.each([
  [401, 'upstream-refused'],
  [403, 'upstream-refused'],
  [400, 'upstream-invalid'],
  [429, 'upstream-rate-limited'],
  [500, 'upstream-unavailable'],
  [529, 'upstream-unavailable'],
  [504, 'upstream-timeout'],
])('a %d of the vendor is %s and shows no key', async (status, code) => {
  await control({ fail: { times: 1, status } })
  const error = await all(ask('hello')).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code })
  expect(JSON.stringify(error) + String(error)).not.toContain('planted-key')
})

test('retry-after of a 429 arrives in milliseconds', async () => {
  await control({ fail: { times: 1, status: 429, retryAfterSeconds: 7 } })
  await expect(all(ask('hello'))).rejects.toMatchObject({ code: 'upstream-rate-limited', retryAfterMs: 7_000 })
})

test('a stream that is cut is no answer, though its usage was told before', async () => {
  await control({ cutAfterChunks: 3 })
  const seen: ModelEvent[] = []
  const run = async () => {
    for await (const event of upstream.stream(ask('hello'), { signal: new AbortController().signal })) seen.push(event)
  }
  await expect(run()).rejects.toMatchObject({ code: 'upstream-unavailable' })
  expect(seen[0]).toMatchObject({ type: 'usage' })
})

test('a malformed event is refused', async () => {
  await control({ malformed: true })
  await expect(all(ask('hello'))).rejects.toMatchObject({ code: 'upstream-invalid' })
})

test('an abort closes the upstream socket at once', async () => {
  await control({ endless: true, chunkMs: 1 })
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Error('stopped')), 100)
  await expect(all(ask('hello'), stop.signal)).rejects.toThrow('stopped')
  await new Promise((resolve) => setTimeout(resolve, 50))
  const { requests } = (await (await fetch(`${url}/journal`)).json()) as { requests: { outcome: string }[] }
  expect(requests.at(-1)?.outcome).toBe('aborted')
})

test('text, usage and stop arrive in order', async () => {
  const events = await all(ask('hello'))
  expect(events.map((event) => event.type)).toEqual([
    'usage',
    ...events.slice(1, -2).map(() => 'text'),
    'usage',
    'stop',
  ])
  expect(events.at(-1)).toEqual({ type: 'stop', reason: 'end_turn' })
})

test('a tool call arrives whole', async () => {
  const events = await all(
    ask('add 2 and 40', [{ name: 'everything__get-sum', description: 'adds', inputSchema: { type: 'object' } }]),
  )
  expect(events.find((event) => event.type === 'tool_use')).toMatchObject({
    name: 'everything__get-sum',
    input: { a: 2, b: 40 },
  })
  expect(events.at(-1)).toEqual({ type: 'stop', reason: 'tool_use' })
})
