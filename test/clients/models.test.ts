import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createModelUpstream, platformCredential, type ModelLimits, type ModelUpstream } from '../../clients/models.ts'
import type { ModelEvent, ModelRequest } from '../../schemas/model.ts'
import type { ModelJournalLine } from '../../workers/local/scripted-control.ts'
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
  const reply = await fetch(`${url}/control`, { method: 'POST', body: JSON.stringify(settings) })
  expect(reply.status).toBe(200)
}

const lowered = (limits: Partial<ModelLimits>) =>
  createModelUpstream({ baseUrl: url, credential: platformCredential('planted-key-1234'), limits })

const journal = async () => {
  const { requests } = (await (await fetch(`${url}/journal`)).json()) as { requests: ModelJournalLine[] }
  return requests
}

const ask = (text: string, tools: ModelRequest['tools'] = []): ModelRequest => ({
  model: 'scripted-1',
  maxTokens: 100,
  system: 'Be brief.',
  messages: [{ role: 'user', content: [{ type: 'text', text }] }],
  tools,
})

async function all(request: ModelRequest, signal = new AbortController().signal, from = upstream) {
  const events: ModelEvent[] = []
  for await (const event of from.stream(request, { signal })) events.push(event)
  return events
}

const never = new AbortController().signal
const adder = [{ name: 'everything__get-sum', description: 'adds', inputSchema: { type: 'object' } }]

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

test('an error event inside a stream is a failure of its own type', async () => {
  await control({ errorAfterChunks: 2 })
  await expect(all(ask('hello'))).rejects.toMatchObject({ code: 'upstream-unavailable' })
})

test('an upstream that does not begin, falls silent or never ends is given up', async () => {
  await control({ hold: true })
  await expect(all(ask('hello'), never, lowered({ firstByteMs: 100 }))).rejects.toMatchObject({
    code: 'upstream-timeout',
  })
  await control({ chunkMs: 2_000 })
  await expect(all(ask('hello'), never, lowered({ idleMs: 100 }))).rejects.toMatchObject({ code: 'upstream-timeout' })
  await control({ endless: true, chunkMs: 1 })
  await expect(all(ask('hello'), never, lowered({ callMs: 200 }))).rejects.toMatchObject({ code: 'upstream-timeout' })
  await control({ endless: true, chunkMs: 0 })
  await expect(all(ask('hello'), never, lowered({ streamBytesMax: 50_000 }))).rejects.toMatchObject({
    code: 'upstream-invalid',
  })
  await expect
    .poll(async () => (await journal()).slice(-4).map((line) => line.outcome))
    .toEqual(['aborted', 'aborted', 'aborted', 'aborted'])
})

test('nobody listening is unavailable, once', async () => {
  const absent = createModelUpstream({ baseUrl: 'http://127.0.0.1:9', credential: platformCredential('k') })
  await expect(all(ask('hello'), never, absent)).rejects.toMatchObject({ code: 'upstream-unavailable' })
})

test('a private address behind the base URL is refused before anything is sent', async () => {
  const inside = createModelUpstream({ baseUrl: 'http://169.254.169.254', credential: platformCredential('k') })
  await expect(all(ask('hello'), never, inside)).rejects.toMatchObject({ code: 'upstream-invalid' })
})

test('a key that cannot be sent is refused without showing it', async () => {
  const credential = platformCredential('planted-key\n1234')
  const broken = createModelUpstream({ baseUrl: url, credential })
  const error = (await all(ask('hello'), never, broken).catch((thrown: unknown) => thrown)) as Error
  expect(error).toMatchObject({ code: 'upstream-refused' })
  expect(inspect(error, { depth: 9 })).not.toContain('planted-key')
})

test('tool arguments that are torn are refused, unless the answer ran out of tokens', async () => {
  await control({ tornTool: 'tool_use' })
  await expect(all(ask('add 2 and 40', adder))).rejects.toMatchObject({ code: 'upstream-invalid' })
  await control({ tornTool: 'max_tokens' })
  const events = await all(ask('add 2 and 40', adder))
  expect(events.map((event) => event.type)).toEqual(['usage', 'usage', 'stop'])
  expect(events.at(-1)).toMatchObject({ reason: 'max_tokens' })
})

test('a failure is tried once: the vendor client retries nothing', async () => {
  const before = (await journal()).length
  await control({ fail: { times: 5, status: 529, retryAfterSeconds: 0 } })
  await expect(all(ask('hello'))).rejects.toMatchObject({ code: 'upstream-unavailable' })
  expect((await journal()).length).toBe(before + 1)
})

test('an abort closes the upstream socket at once', async () => {
  await control({ endless: true, chunkMs: 1 })
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Error('stopped')), 100)
  await expect(all(ask('hello'), stop.signal)).rejects.toThrow('stopped')
  await expect.poll(async () => (await journal()).at(-1)?.outcome).toBe('aborted')
})

test('an abort while the upstream holds its answer, or before the call, reaches it or sends nothing', async () => {
  await control({ hold: true })
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Error('stopped')), 50)
  await expect(all(ask('hello'), stop.signal)).rejects.toThrow('stopped')
  await expect.poll(async () => (await journal()).at(-1)?.outcome).toBe('aborted')
  const before = (await journal()).length
  await expect(all(ask('hello'), stop.signal)).rejects.toThrow('stopped')
  expect((await journal()).length).toBe(before)
})

test('a reader that leaves closes the upstream socket', async () => {
  await control({ endless: true, chunkMs: 1 })
  for await (const event of upstream.stream(ask('hello'), { signal: never })) if (event.type === 'text') break
  await expect.poll(async () => (await journal()).at(-1)?.outcome).toBe('aborted')
})

test('the attempt and the idempotency key reach the upstream', async () => {
  const options = { signal: never, idempotencyKey: 'step-1', headers: { 'x-gatehouse-attempt': 'attempt-1' } }
  for await (const event of upstream.stream(ask('hello'), options)) expect(event.type).toBeDefined()
  expect((await journal()).at(-1)).toMatchObject({ attemptId: 'attempt-1', idempotencyKey: 'step-1' })
})

test.each([
  [{ ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 100 }, 0, 100],
  [{ ephemeral_5m_input_tokens: 70, ephemeral_1h_input_tokens: 30 }, 70, 30],
  [undefined, 100, 0],
])('cache writes are counted once, split by life: %j', async (split, short, hour) => {
  const usage = { input_tokens: 7, output_tokens: 5, cache_read_input_tokens: 3, cache_creation_input_tokens: 100 }
  await control({ usage: { ...usage, ...(split ? { cache_creation: split } : {}) } })
  const events = await all(ask('hello'))
  expect(events.findLast((event) => event.type === 'usage')).toEqual({
    type: 'usage',
    usage: {
      inputTokens: 7,
      outputTokens: 5,
      cacheReadTokens: 3,
      cacheWrite5mTokens: short,
      cacheWrite1hTokens: hour,
    },
  })
})

test('text, usage and stop arrive in order', async () => {
  const events = await all(ask('hello'))
  expect(events.map((event) => event.type)).toEqual([
    'usage',
    ...events.slice(1, -2).map(() => 'text'),
    'usage',
    'stop',
  ])
  expect(events.at(-1)).toEqual({ type: 'stop', reason: 'end_turn', model: 'scripted-1' })
})

test('a tool call arrives whole', async () => {
  const events = await all(ask('add 2 and 40', adder))
  expect(events.find((event) => event.type === 'tool_use')).toMatchObject({
    name: 'everything__get-sum',
    input: { a: 2, b: 40 },
  })
  expect(events.at(-1)).toEqual({ type: 'stop', reason: 'tool_use', model: 'scripted-1' })
})
