// Conversations are kept as many days as their owner has set, by a clock that the suite moves.
import { randomBytes } from 'node:crypto'
import { MockActivityEnvironment } from '@temporalio/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from '../../activities/ledger.ts'
import { createSessionUpkeepActivities } from '../../activities/session-upkeep.ts'
import type { SessionRow } from '../../db/chat-session.ts'
import { readSessionKeys } from '../../db/session-key.ts'
import { mergeSettings } from '../../db/wallet-settings.ts'
import { retentionPageSessions } from '../../domain/limits.ts'
import { createDoorRig, type DoorRig, type Person } from '../support/door-rig.ts'

let rig: DoorRig
beforeAll(async () => {
  rig = await createDoorRig()
})
afterAll(async () => rig[Symbol.asyncDispose]())

const dayMs = 86_400_000
const words = randomBytes(8).toString('hex')

async function purge(days: number, after: string | null = null): Promise<Page> {
  const clock = () => new Date(Date.now() + days * dayMs)
  const { pool, door, transcripts } = rig
  const activities = createSessionUpkeepActivities({ pool, events: door.events, transcripts, clock })
  return new MockActivityEnvironment().run(() => activities.purgeSessionsPage({ after }))
}

async function personWith(days: number | undefined): Promise<Person> {
  const person = await rig.signIn()
  if (days !== undefined) await mergeSettings(rig.pool, person.principal.walletId, { conversationRetentionDays: days })
  return person
}

async function talk(person: Person, isAnswered = true): Promise<SessionRow> {
  const session = await rig.openSession(person)
  const turn = await rig.post(person, session, { message: words })
  if (isAnswered) await rig.answer(session, turn, ['so it is'])
  return session
}

const statusOf = async (person: Person, { id }: SessionRow) =>
  (await person.call('GET', `/agents/assistant/sessions/${id}`)).status
const messagesOf = ({ id }: SessionRow) => rig.ledger.query('SELECT 1 FROM message WHERE session_id = $1', [id])

test('keeps to the day what was set, and for good where nothing was', async () => {
  const [week, unset] = [await personWith(7), await personWith(undefined)]
  const [short, kept] = [await talk(week), await talk(unset)]
  expect(await purge(6.9)).toEqual({ next: null, found: 0 })
  expect(await statusOf(week, short)).toBe(200)
  expect(await purge(7.1)).toEqual({ next: null, found: 1 })
  expect(await statusOf(week, short)).toBe(404)
  expect(await messagesOf(short)).toEqual([])
  expect(await readSessionKeys(rig.pool, [short.id])).toEqual([])
  expect(
    await rig.ledger.query("SELECT 1 FROM stream WHERE id IN (SELECT 'turn:' || id FROM turn WHERE session_id = $1)", [
      short.id,
    ]),
  ).toEqual([])
  expect(await purge(3_000)).toEqual({ next: null, found: 0 })
  expect(await statusOf(unset, kept)).toBe(200)
})

test('a session of which something runs, or which was used again, is kept', async () => {
  const person = await personWith(1)
  const running = await talk(person, false)
  expect(await purge(2)).toEqual({ next: null, found: 0 })
  expect(await messagesOf(running)).toHaveLength(1)
  const used = await talk(await personWith(2))
  await rig.ledger.query("UPDATE chat_session SET last_active_at = now() + interval '3 days' WHERE id = $1", [used.id])
  expect(await purge(4)).toEqual({ next: null, found: 0 })
})

test('many are purged page by page', async () => {
  const person = await personWith(5)
  for (let index = 0; index <= retentionPageSessions; index += 1) await rig.openSession(person)
  const first = await purge(6)
  expect(first.found).toBeGreaterThanOrEqual(retentionPageSessions - 1)
  expect(first.next).not.toBeNull()
  const second = await purge(6, first.next)
  expect(second.next).toBeNull()
  const left = await rig.ledger.query("SELECT 1 FROM chat_session WHERE wallet_id = $1 AND state = 'open'", [
    person.principal.walletId,
  ])
  expect(left).toEqual([])
})
