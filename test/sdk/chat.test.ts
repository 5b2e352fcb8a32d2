// A turn over connections that break: one payment, every event once, bounded patience.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startChat } from '../../sdk/chat.ts'
import { createClient, type ChatEvent, type ChatStream, type Client } from '../../sdk/client.ts'
import { createTransport } from '../../sdk/http.ts'
import { done, frames, json, refuse, startApiDouble, stream, type ApiDouble } from '../support/api-double.ts'

const session = { id: 'session-1', agentId: 'assistant' }
const post = 'POST /agents/assistant/sessions/session-1/chat'
const viewer = 'GET /agents/assistant/sessions/session-1/turns/turn-1/stream'

let api: ApiDouble
let client: Client

beforeEach(async () => {
  api = await startApiDouble()
  client = createClient({ baseUrl: api.url, token: 't', retryWaitsMs: [1, 1, 1] })
})

afterEach(() => api[Symbol.asyncDispose]())

async function read(events: ChatStream): Promise<ChatEvent[]> {
  const all: ChatEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

const said = (events: readonly ChatEvent[]) =>
  events.map((event) => (event.type === 'text' ? event.data : event.type)).join('|')

const whole = frames([['text', 'a'], ['text', 'b'], done()])

test.each([
  [402, 'INSUFFICIENT_FUNDS'],
  [403, 'POLICY_REFUSED'],
  [409, 'TURN_QUEUE_FULL'],
  [429, 'RATE_LIMITED'],
  [500, 'INTERNAL_ERROR'],
])('a %s is told at once and not sent again', async (status, code) => {
  api.on(post, refuse(status, code))
  await expect(read(client.chat(session, 'hi'))).rejects.toMatchObject({ status, code })
  expect(api.to(post)).toHaveLength(1)
})

test('a 503 that asks for a long wait is the caller’s decision', async () => {
  api.on(post, refuse(503, 'UNAVAILABLE', { headers: { 'retry-after': '60' } }))
  await expect(read(client.chat(session, 'hi'))).rejects.toMatchObject({ status: 503, retryAfterSeconds: 60 })
  expect(api.to(post)).toHaveLength(1)
})

test('patience with a server that stays away is bounded', async () => {
  api.on(post, refuse(503, 'UNAVAILABLE'))
  await expect(read(client.chat(session, 'hi'))).rejects.toMatchObject({ status: 503 })
  expect(api.to(post)).toHaveLength(4)
})

test('a stream that is cut again and again without an event is given up, and the turn is named', async () => {
  api.on(post, stream(frames([['text', 'a']]), 'cut'))
  api.on(viewer, stream(': nothing\n\n', 'cut'))
  const chat = client.chat(session, 'hi')
  await expect(read(chat)).rejects.toMatchObject({
    code: 'STREAM_CUT',
    details: { turnId: 'turn-1', lastEventId: '1' },
  })
  expect(api.to(viewer)).toHaveLength(3)
})

test('a turn that can no longer be viewed is refused with the server’s word', async () => {
  api.on(post, stream(frames([['text', 'a']]), 'cut'))
  api.on(viewer, refuse(404, 'NOT_FOUND'))
  await expect(read(client.chat(session, 'hi'))).rejects.toMatchObject({ status: 404 })
})

test.each([
  ['that is not JSON', 'data: {\n\n'],
  ['of a known type with other data', 'data: {"type":"text","data":7}\n\n'],
])('an event %s is refused', async (_what, text) => {
  api.on(post, stream(text))
  await expect(read(client.chat(session, 'hi'))).rejects.toMatchObject({ code: 'REPLY_INVALID' })
})

test('leaving ends the reading with the reason of the signal, and sends nothing', async () => {
  api.on(post, stream(frames([['text', 'a']]), 'silence'))
  const leave = new AbortController()
  const events: string[] = []
  const reading = async () => {
    for await (const event of client.chat(session, 'hi', { signal: leave.signal })) {
      events.push(event.type)
      leave.abort(new Error('enough'))
    }
  }
  await expect(reading()).rejects.toThrow('enough')
  expect(events).toEqual(['text'])
  expect(api.asked).toHaveLength(1)
})

test('nothing is sent before somebody reads', () => {
  client.chat(session, 'hi')
  expect(api.asked).toEqual([])
})

test('an order whose answer never began is sent again under the same key', async () => {
  api.on(post, (response) => response.destroy(), refuse(503, 'TURN_NOT_ACCEPTED'), stream(whole))
  expect(said(await read(client.chat(session, 'hi')))).toBe('a|b|done')
  const keys = api.to(post).map((one) => one.headers['idempotency-key'])
  expect(keys).toHaveLength(3)
  expect(new Set(keys).size).toBe(1)
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/)
})

test('two orders have two keys, a given key is kept', async () => {
  api.on(post, stream(whole))
  await read(client.chat(session, 'hi'))
  await read(client.chat(session, 'hi'))
  await read(client.chat(session, 'hi', { idempotencyKey: 'mine' }))
  const [first, second, third] = api.to(post).map((one) => one.headers['idempotency-key'])
  expect(first).not.toBe(second)
  expect(third).toBe('mine')
})

test('a cut stream goes on behind the last event, without sending the order again', async () => {
  api.on(post, stream(frames([['text', 'a']]), 'cut'))
  api.on(viewer, refuse(503, 'UNAVAILABLE'), stream(frames([['text', 'b'], done()], 2)))
  const chat = client.chat(session, 'hi')
  expect(said(await read(chat))).toBe('a|b|done')
  expect(chat.turnId).toBe('turn-1')
  expect(api.to(post)).toHaveLength(1)
  expect(api.to(viewer).map((one) => one.headers['last-event-id'])).toEqual(['1', '1'])
})

test('a stream that ends politely before its last event was cut all the same', async () => {
  api.on(post, stream(frames([['text', 'a']])))
  api.on(viewer, stream(frames([['text', 'b']], 2)), stream(frames([done()], 3)))
  expect(said(await read(client.chat(session, 'hi')))).toBe('a|b|done')
})

test('a viewer that begins too early repeats nothing', async () => {
  api.on(post, stream(frames([['text', 'a']]), 'cut'))
  api.on(viewer, stream(whole))
  expect(said(await read(client.chat(session, 'hi')))).toBe('a|b|done')
})

test('a silent stream is taken up again', async () => {
  api.on(post, stream(frames([['text', 'a']]), 'silence'))
  api.on(viewer, stream(frames([done()], 2)))
  const transport = createTransport({ baseUrl: api.url, fetch, token: () => 't' })
  const deps = { transport, waitsMs: [1], idleMs: 50 }
  const events = startChat(deps, async () => session, { message: 'hi', options: {} })
  expect(said(await read(events))).toBe('a|done')
})

test('an error event is the last, not an exception', async () => {
  api.on(
    post,
    stream(
      frames([
        ['error', { code: 'UPSTREAM_TIMEOUT', message: 'late' }],
        ['text', 'never read'],
      ]),
    ),
  )
  const events = await read(client.chat(session, 'hi'))
  expect(events).toEqual([{ type: 'error', id: '1', data: { code: 'UPSTREAM_TIMEOUT', message: 'late' } }])
})

test('events of types it does not know are skipped', async () => {
  api.on(post, stream(frames([['weather', 'sunny'], ['text', 'a'], done()])))
  expect(said(await read(client.chat(session, 'hi')))).toBe('a|done')
})

test('a turn somebody else started is watched from the beginning or behind an event', async () => {
  api.on(viewer, stream(whole), stream(frames([done()], 3)))
  expect(said(await read(client.watch(session, 'turn-1')))).toBe('a|b|done')
  expect(said(await read(client.watch(session, 'turn-1', { after: '2' })))).toBe('done')
  expect(api.to(viewer).map((one) => one.headers['last-event-id'])).toEqual([undefined, '2'])
})

test('cancelling names the turn', async () => {
  api.on('POST /agents/assistant/sessions/session-1/turns/turn-1/cancel', json({ status: 'cancelling' }, 202))
  await client.cancel(session, 'turn-1')
  expect(api.asked).toHaveLength(1)
})

test('the whole of a long result is asked for by its call', async () => {
  const path = '/agents/assistant/sessions/session-1/turns/turn-1/results/toolu%2F1'
  api.on(`GET ${path}`, json({ id: 'toolu/1', bytes: 3, result: 'all' }))
  expect(await client.toolResult(session, 'turn-1', 'toolu/1')).toBe('all')
})
