// Chat over HTTP: bad input and other people's objects first, then streams, viewers, replays, delivery and cancel.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { SessionRow } from '../../db/chat-session.ts'
import { revokeScopes } from '../../db/revocation.ts'
import { createDoorRig, type DoorRig, type Person } from '../support/door-rig.ts'
import { readEvents, type ChatEvent } from '../support/person.ts'

let rig: DoorRig
let person: Person
let other: Person
let session: SessionRow
let chat: string

beforeAll(async () => {
  rig = await createDoorRig()
  person = await rig.signIn()
  other = await rig.signIn()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})
beforeEach(async () => {
  rig.submit = async () => ({ kind: 'accepted' })
  rig.temporalDown = false
  session = await rig.openSession(person)
  chat = `/agents/assistant/sessions/${session.id}/chat`
})

const say = (message: unknown, headers: Record<string, string> = {}) =>
  person.call('POST', chat, { body: { message }, headers })
const bodyOf = async (reply: Response) => (await reply.json()) as Record<string, unknown>
const collect = async (reply: Response) => {
  const events: ChatEvent[] = []
  for await (const event of readEvents(reply)) events.push(event)
  return events
}
const textOf = (events: readonly ChatEvent[]) =>
  events.flatMap((event) => (event.type === 'text' ? [event.data] : [])).join('')
const turnOf = (reply: Response) => ({ turnId: reply.headers.get('x-turn-id') ?? '', try: 1 })
const stream = (turnId: string) => `/agents/assistant/sessions/${session.id}/turns/${turnId}/stream`
const rows = async () =>
  Number((await rig.ledger.query('SELECT count(*) AS n FROM turn WHERE session_id = $1', [session.id]))[0]?.['n'])

const png = Buffer.from('89504e470d0a1a0a00000000', 'hex').toString('base64')

test.each<[string, unknown, number, string]>([
  ['no body', '', 400, 'VALIDATION_ERROR'],
  ['broken JSON', '{"message":', 400, 'MALFORMED_REQUEST'],
  ['too deep', '['.repeat(40) + ']'.repeat(40), 400, 'MALFORMED_REQUEST'],
  ['an array', [], 400, 'VALIDATION_ERROR'],
  ['no message', {}, 400, 'VALIDATION_ERROR'],
  ['an empty message', { message: ' \n ' }, 400, 'VALIDATION_ERROR'],
  ['a number', { message: 7 }, 400, 'VALIDATION_ERROR'],
  ['NUL', { message: 'a\u0000b' }, 400, 'VALIDATION_ERROR'],
  ['half a surrogate pair', '{"message":"a\\ud800"}', 400, 'VALIDATION_ERROR'],
  ['too many characters', { message: 'x'.repeat(200_001) }, 400, 'VALIDATION_ERROR'],
  ['too many bytes', { message: 'x', pad: 'x'.repeat(12_000_001) }, 413, 'PAYLOAD_TOO_LARGE'],
  ['an unknown model', { message: 'x', model: 'nothing-9' }, 400, 'UNKNOWN_MODEL'],
  [
    'nine images',
    { message: 'x', images: Array.from({ length: 9 }, () => ({ data: png, mediaType: 'image/png' })) },
    400,
    'VALIDATION_ERROR',
  ],
  [
    'an image of another type',
    { message: 'x', images: [{ data: png, mediaType: 'image/jpeg' }] },
    400,
    'VALIDATION_ERROR',
  ],
  [
    'an image that is no base64',
    { message: 'x', images: [{ data: '%%%%', mediaType: 'image/png' }] },
    400,
    'VALIDATION_ERROR',
  ],
  ['a vector image', { message: 'x', images: [{ data: png, mediaType: 'image/svg+xml' }] }, 400, 'VALIDATION_ERROR'],
])('%s is refused with its code and writes nothing', async (...row) => {
  const [, body, status, code] = row
  const reply = await person.call('POST', chat, { body })
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([status, code])
  expect(await rows()).toBe(0)
})

test.each([
  ['idempotency-key', 'x'.repeat(201)],
  ['idempotency-key', 'with space'],
  ['x-idempotency-key', 'ü'],
])('%s %s is refused', async (name, value) => {
  expect((await say('hello', { [name]: Buffer.from(value).toString('latin1') })).status).toBe(400)
  expect(await rows()).toBe(0)
})

test('two different keys, a wrong content type and a wrong method are refused', async () => {
  expect((await say('hello', { 'idempotency-key': 'a', 'x-idempotency-key': 'b' })).status).toBe(400)
  expect(
    (await person.call('POST', chat, { body: 'message=hello', headers: { 'content-type': 'text/plain' } })).status,
  ).toBe(415)
  expect((await person.call('GET', chat)).status).toBe(405)
  expect(await rows()).toBe(0)
})

test("somebody else's session, turn and agent are not found, and neither are made-up ones", async () => {
  const posted = await rig.post(person, session, { message: 'mine' })
  const cancel = `/agents/assistant/sessions/${session.id}/turns/${posted.turnId}/cancel`
  const replies = [
    await other.call('POST', chat, { body: { message: 'hello' } }),
    await other.call('GET', stream(posted.turnId)),
    await other.call('POST', cancel),
    await person.call('POST', chat.replace('assistant', 'nobody'), { body: { message: 'hello' } }),
    await person.call('GET', stream(randomUUID())),
    await person.call('POST', `/agents/assistant/sessions/${randomUUID()}/chat`, { body: { message: 'hello' } }),
  ]
  expect(replies.map((reply) => reply.status)).toEqual([404, 404, 404, 404, 404, 404])
  expect(rig.told).toEqual([])
})

test.each(['not-a-uuid', '0', '%00', '..%2f..'])('the session id %s is refused without a fault', async (id) => {
  const reply = await person.call('POST', `/agents/assistant/sessions/${id}/chat`, { body: { message: 'x' } })
  expect([400, 404]).toContain(reply.status)
})

test('a credential that may only read opens no turn', async () => {
  const reader = await rig.signIn({ permissions: ['chat:read'] })
  const theirs = await rig.openSession(reader)
  const reply = await reader.call('POST', `/agents/assistant/sessions/${theirs.id}/chat`, { body: { message: 'x' } })
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([403, 'INSUFFICIENT_PERMISSIONS'])
})

test('without money the reply is 402 with what is required and what there is', async () => {
  const poor = await rig.signIn({ funds: 7n })
  const theirs = await rig.openSession(poor)
  const reply = await poor.call('POST', `/agents/assistant/sessions/${theirs.id}/chat`, { body: { message: 'x' } })
  expect(reply.status).toBe(402)
  expect(await bodyOf(reply)).toMatchObject({
    code: 'INSUFFICIENT_FUNDS',
    available: '7',
    required: expect.any(String),
  })
})

test('nobody takes the turn: 503 with Retry-After', async () => {
  rig.submit = async () => ({ kind: 'unanswered' })
  const reply = await say('hello')
  expect([reply.status, reply.headers.get('retry-after')]).toEqual([503, '2'])
})

test('an answer streams: accepted, words with growing ids, done; and the row says that it was delivered', async () => {
  rig.submit = async ({ turn }) => {
    setTimeout(() => void rig.answer(session, turn, ['Hel', 'lo', '.']), 20)
    return { kind: 'accepted' }
  }
  const reply = await say('hello')
  expect(reply.headers.get('x-dedupe')).toBe('new')
  const events = await collect(reply)
  expect(events[0]).toMatchObject({
    id: '0',
    type: 'status',
    data: { code: 'turn_accepted', turnId: turnOf(reply).turnId },
  })
  expect(textOf(events)).toBe('Hello.')
  expect(events.at(-1)).toMatchObject({ type: 'done', data: { cost: '$0.0012', costRaw: '1200' } })
  const ids = events.map((event) => Number(event.id))
  expect(ids).toEqual(ids.toSorted((a, b) => a - b))
  const [row] = await rig.ledger.query('SELECT done_delivered_at FROM turn WHERE id = $1', [turnOf(reply).turnId])
  expect(row?.['done_delivered_at']).not.toBeNull()
})

test('a viewer sees the same whole turn, or the rest of it, and never marks it delivered', async () => {
  const turn = await rig.post(person, session, { message: 'watch' })
  const early = person.call('GET', stream(turn.turnId)).then(collect)
  await rig.answer(session, turn, ['one ', 'two ', 'three'])
  const late = await collect(await person.call('GET', stream(turn.turnId)))
  expect(await early).toEqual(late)
  expect(textOf(late)).toBe('one two three')
  const second = late.find((event) => event.data === 'two ')?.id ?? ''
  const rest = await collect(await person.call('GET', `${stream(turn.turnId)}?after=${second}`))
  const resumed = await collect(await person.call('GET', stream(turn.turnId), { headers: { 'last-event-id': second } }))
  expect(textOf(rest)).toBe('three')
  expect(resumed).toEqual(rest)
  const [row] = await rig.ledger.query('SELECT done_delivered_at FROM turn WHERE id = $1', [turn.turnId])
  expect(row?.['done_delivered_at']).toBeNull()
})

test.each(['x', '-1', '1.5', '9'.repeat(30)])('a viewer that begins after %s is refused', async (after) => {
  const turn = await rig.post(person, session, { message: 'watch' })
  expect((await person.call('GET', `${stream(turn.turnId)}?after=${after}`)).status).toBe(400)
  expect((await person.call('GET', stream(turn.turnId), { headers: { 'last-event-id': after } })).status).toBe(400)
})

test('a turn whose stream was dropped is shown from its rows', async () => {
  const turn = await rig.post(person, session, { message: 'old', key: 'old' })
  await rig.answer(session, turn, ['from ', 'before'])
  await rig.ledger.query('DELETE FROM stream WHERE id = $1', [`turn:${turn.turnId}`])
  const reply = await say('old', { 'idempotency-key': 'old' })
  expect(reply.headers.get('x-dedupe')).toBe('replayed')
  const events = await collect(reply)
  expect(textOf(events)).toBe('from before')
  expect(events.at(-1)).toMatchObject({ type: 'done', data: { costRaw: '1200' } })
})

test('a turn that nobody took ends a viewer with an error', async () => {
  rig.submit = async () => ({ kind: 'unanswered' })
  const reply = await say('lost')
  expect(reply.status).toBe(503)
  const turnId = rig.submitted.at(-1)?.turn.turnId ?? ''
  const events = await collect(await person.call('GET', stream(turnId)))
  expect(events.at(-1)).toMatchObject({ type: 'error', data: { code: 'turn-not-accepted' } })
})

test('a failed turn ends with an error event', async () => {
  rig.submit = async ({ turn }) => {
    setTimeout(() => void rig.fail(turn, 'upstream-timeout'), 20)
    return { kind: 'accepted' }
  }
  const events = await collect(await say('fail'))
  expect(events.at(-1)).toMatchObject({ type: 'error', data: { code: 'upstream-timeout', message: 'It failed.' } })
})

test('a client that leaves does not stop the turn; the same POST joins it and pays once', async () => {
  const gone = new AbortController()
  const first = await person.call('POST', chat, { body: { message: 'long' }, signal: gone.signal })
  const turn = turnOf(first)
  gone.abort()
  expect(rig.told).toEqual([])
  const again = await say('long')
  expect([again.headers.get('x-turn-id'), again.headers.get('x-dedupe')]).toEqual([turn.turnId, 'joined'])
  const read = collect(again)
  await rig.answer(session, turn, ['still ', 'here'])
  const events = await read
  expect(events[1]).toMatchObject({ type: 'status', data: { code: 'duplicate_joined' } })
  expect(textOf(events)).toBe('still here')
  expect(await rows()).toBe(1)
})

test('the same words after a delivered answer are a second turn, without a pause between them', async () => {
  rig.submit = async ({ turn }) => {
    void rig.answer(session, turn, ['ok'])
    return { kind: 'accepted' }
  }
  const replies: string[] = []
  for (let index = 0; index < 3; index += 1) {
    const reply = await say('yes')
    await collect(reply)
    replies.push(turnOf(reply).turnId)
  }
  expect(new Set(replies).size).toBe(3)
})

test('cancel tells the workflow, once the turn is over it conflicts, and says so when Temporal is down', async () => {
  const turn = await rig.post(person, session, { message: 'stop' })
  const cancel = `/agents/assistant/sessions/${session.id}/turns/${turn.turnId}/cancel`
  rig.temporalDown = true
  expect((await person.call('POST', cancel)).status).toBe(503)
  rig.temporalDown = false
  expect((await person.call('POST', cancel)).status).toBe(202)
  expect(rig.told).toContain(`cancel ${turn.turnId}`)
  await rig.answer(session, turn, ['too late'])
  expect((await person.call('POST', cancel)).status).toBe(409)
})

test('a revoked credential ends its streams', async () => {
  const short = await rig.signIn()
  const theirs = await rig.openSession(short)
  const turn = await rig.post(short, theirs, { message: 'watch' })
  const reply = await short.call('GET', `/agents/assistant/sessions/${theirs.id}/turns/${turn.turnId}/stream`)
  const read = collect(reply)
  await revokeScopes(rig.pool, { scopes: [`token:${short.principal.tokenId}`], reason: 'test', by: 'test' })
  const events = await read
  expect(events.map((event) => event.type)).toEqual(['status'])
})

test('after all of this the ledger has no fault', async () => {
  expect(await rig.ledger.faults()).toEqual([])
})
