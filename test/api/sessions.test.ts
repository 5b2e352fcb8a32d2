// Sessions over HTTP: refusals, isolation, the life of one.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createDoorRig, type DoorRig, type Person } from '../support/door-rig.ts'

let rig: DoorRig
let person: Person

beforeAll(async () => {
  rig = await createDoorRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})
beforeEach(async () => {
  rig.temporalDown = false
  person = await rig.signIn()
})

const path = '/agents/assistant/sessions'
const bodyOf = async (reply: Response) => (await reply.json()) as Record<string, unknown>
const open = async (who = person) => String((await bodyOf(await who.call('POST', path, { body: {} })))['id'])
const count = async () =>
  Number(
    (
      await rig.ledger.query('SELECT count(*) AS n FROM chat_session WHERE wallet_id = $1', [person.principal.walletId])
    )[0]?.['n'],
  )

test.each<[string, unknown, number, string]>([
  ['an unknown model', { model: 'nothing-9' }, 400, 'UNKNOWN_MODEL'],
  ['a prefix of a model', { model: 'claude' }, 400, 'UNKNOWN_MODEL'],
  ['an empty model', { model: '' }, 400, 'VALIDATION_ERROR'],
  ['a model that is no text', { model: {} }, 400, 'VALIDATION_ERROR'],
  ['an unknown engine', { executionEngine: 'steam' }, 400, 'VALIDATION_ERROR'],
  ['an engine that is not enabled', { executionEngine: 'codex' }, 400, 'VALIDATION_ERROR'],
  ['broken JSON', '{', 400, 'MALFORMED_REQUEST'],
  ['a body too large', { pad: 'x'.repeat(1_000_001) }, 413, 'PAYLOAD_TOO_LARGE'],
])('%s is refused with its code and opens nothing', async (...row) => {
  const [, body, status, code] = row
  const reply = await person.call('POST', path, { body })
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([status, code])
  expect(await count()).toBe(0)
})

test('an unknown agent is not found, whatever it is called', async () => {
  for (const agent of ['nobody', '__proto__', 'constructor', '%2e%2e', 'x'.repeat(300)]) {
    const reply = await person.call('POST', `/agents/${agent}/sessions`, { body: {} })
    expect([400, 404]).toContain(reply.status)
  }
  expect(await count()).toBe(0)
})

test('one session too many is 409, and ending one makes room', async () => {
  const ids = [await open(), await open(), await open()]
  const full = await person.call('POST', path, { body: {} })
  expect([full.status, await bodyOf(full)]).toEqual([
    409,
    expect.objectContaining({ code: 'SESSION_LIMIT', sessionsMax: 3 }),
  ])
  expect((await person.call('DELETE', `${path}/${ids[0]}`)).status).toBe(200)
  expect((await person.call('POST', path, { body: {} })).status).toBe(200)
})

test('six at once stay within the limit', async () => {
  const replies = await Promise.all(Array.from({ length: 6 }, () => person.call('POST', path, { body: {} })))
  expect(replies.map((reply) => reply.status).toSorted((a, b) => a - b)).toEqual([200, 200, 200, 409, 409, 409])
})

test("another wallet's session is not found by any way", async () => {
  const other = await rig.signIn()
  const id = await open()
  expect((await other.call('GET', `${path}/${id}`)).status).toBe(404)
  expect((await other.call('DELETE', `${path}/${id}`)).status).toBe(404)
  expect(await bodyOf(await other.call('GET', path))).toEqual({ sessions: [] })
  expect(await bodyOf(await other.call('GET', '/wallet/sessions'))).toEqual({ sessions: [] })
  expect((await person.call('GET', `${path}/${id}`)).status).toBe(200)
})

test('a session of another agent, a made-up id and a malformed one are refused alike', async () => {
  const id = await open()
  expect((await person.call('GET', `/agents/nobody/sessions/${id}`)).status).toBe(404)
  expect((await person.call('GET', `${path}/${randomUUID()}`)).status).toBe(404)
  expect((await person.call('DELETE', `${path}/${id.toUpperCase()}x`)).status).toBe(400)
})

test('without a credential, with a wrong method or without permission nothing is read', async () => {
  expect((await fetch(`${rig.base}${path}`)).status).toBe(401)
  expect((await person.call('PUT', path, { body: {} })).status).toBe(405)
  const narrow = await rig.signIn({ permissions: ['wallet:read'] })
  expect((await narrow.call('GET', path)).status).toBe(403)
  const confined = await rig.signIn({ serverId: 'everything' })
  expect((await confined.call('GET', path)).status).toBe(403)
})

test('while its workflow cannot be told, a session is not deleted', async () => {
  const id = await open()
  rig.temporalDown = true
  expect((await person.call('DELETE', `${path}/${id}`)).status).toBe(503)
  rig.temporalDown = false
  expect((await person.call('GET', `${path}/${id}`)).status).toBe(200)
})

test('a session is opened under the verified tree, listed, read and deleted with all that was said', async () => {
  const created = await bodyOf(await person.call('POST', path, { body: { model: 'haiku', executionEngine: 'claude' } }))
  expect(created).toMatchObject({ agentId: 'assistant', model: 'scripted-1', executionEngine: 'claude' })
  const id = String(created['id'])
  expect(rig.spanFacts.at(-1)).toEqual({ 'gatehouse.usid': person.principal.sessionIds.usid })
  const tree = await rig.ledger.query(
    'SELECT w.parent_id, a.parent_id = w.id AS linked FROM chat_session s JOIN session_node w ON w.id = s.wsid JOIN session_node a ON a.id = s.asid WHERE s.id = $1',
    [id],
  )
  expect(tree).toEqual([{ parent_id: person.principal.sessionIds.usid, linked: true }])
  const [session] = (await rig.ledger.query('SELECT id, wsid, asid, model FROM chat_session WHERE id = $1', [id])) as [
    never,
  ]
  const turn = await rig.post(person, Object.assign(session, { id }), { message: 'a secret' })
  const running = await bodyOf(await person.call('GET', `${path}/${id}`))
  expect(running).toMatchObject({
    messageCount: 1,
    preview: 'a secret',
    currentTurn: { turnId: turn.turnId, state: 'queued' },
  })
  await rig.answer(Object.assign(session, { id }), turn, ['kept'])
  const read = await bodyOf(await person.call('GET', `${path}/${id}`))
  expect(read['messages']).toMatchObject([
    { role: 'user', content: 'a secret' },
    { role: 'assistant', content: 'kept' },
  ])
  expect(read['currentTurn']).toBeUndefined()
  const listed = (await bodyOf(await person.call('GET', '/wallet/sessions')))['sessions'] as { id: string }[]
  expect(listed.map((each) => each.id)).toEqual([id])
  expect(await bodyOf(await person.call('DELETE', `${path}/${id}`))).toEqual({ success: true })
  expect(rig.told).toContain(`close ${id}`)
  expect((await person.call('GET', `${path}/${id}`)).status).toBe(404)
  expect((await person.call('DELETE', `${path}/${id}`)).status).toBe(404)
  expect(await rig.ledger.query('SELECT 1 FROM message WHERE session_id = $1', [id])).toEqual([])
  expect(await rig.ledger.query('SELECT 1 FROM stream WHERE id = $1', [`turn:${turn.turnId}`])).toEqual([])
  const acts = await rig.ledger.query(
    "SELECT intent->>'action' AS action FROM audit_pending WHERE intent->>'resource' = $1",
    [id],
  )
  const sealed = await rig.ledger.query(
    "SELECT body::jsonb->>'action' AS action FROM audit_record WHERE body::jsonb->>'resource' = $1",
    [id],
  )
  expect([...acts, ...sealed]).toContainEqual({ action: 'session.delete' })
})
