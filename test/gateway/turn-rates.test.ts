// Rates at the door of a chat turn: what is refused writes nothing, what is replayed or refused by money takes nothing.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDoorRig, type DoorRig } from '../support/door-rig.ts'
import { useUp } from '../support/quota-facts.ts'

let rig: DoorRig

beforeAll(async () => {
  rig = await createDoorRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'none',
    (error: { code?: string }) => error.code ?? String(error),
  )
const count = async (table: string, sessionId: string) =>
  Number((await rig.ledger.query(`SELECT count(*) AS n FROM ${table} WHERE session_id = $1`, [sessionId]))[0]?.['n'])

const recorded = async (tenant: string) => {
  await rig.evidence.drain()
  return rig.ledger.query(
    `SELECT body::json->>'status' AS status, body::json->>'error_code' AS code FROM audit_record
       WHERE tenant = $1 AND body::json->>'action' = 'chat.submit'`,
    [tenant],
  )
}

test('the last request of a minute passes, a replay takes nothing, the next is refused and writes nothing', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  const key = `requests-per-minute|human:${person.principal.wallet}/${person.principal.wallet}|chat.submit`
  await useUp(rig.ledger, key, 599)
  const first = await rig.post(person, session, { message: 'hello', key: 'k1' })
  expect(first.signs).toEqual({ rateRemaining: 0 })
  await useUp(rig.ledger, key, 700)
  expect(await rig.post(person, session, { message: 'hello', key: 'k1' })).toMatchObject({
    dedupe: 'joined',
    signs: {},
  })
  const turns = await count('turn', session.id)
  await expect(rig.post(person, session, { message: 'more' })).rejects.toMatchObject({
    code: 'rate-limited',
    retryAfterMs: expect.any(Number),
    details: { meter: 'requests-per-minute', remaining: 0 },
  })
  expect(await count('turn', session.id)).toBe(turns)
  expect((await recorded(person.principal.tenant)).at(-1)).toEqual({ status: 'refused', code: 'rate-limited' })
})

test('a person whose models used up their tokens opens no turn', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  await useUp(rig.ledger, `tokens-per-minute|human:${person.principal.wallet}/${person.principal.wallet}`, 5_100_000)
  expect(await codeOf(rig.post(person, session, { message: 'hello' }))).toBe('rate-limited')
})

test('a turn that money refuses gives its request back', async () => {
  const person = await rig.signIn({ funds: 0n })
  const session = await rig.openSession(person)
  const key = `requests-per-minute|human:${person.principal.wallet}/${person.principal.wallet}|chat.submit`
  for (let n = 0; n < 3; n += 1)
    expect(await codeOf(rig.post(person, session, { message: 'hello' }))).toBe('insufficient-funds')
  expect(await rig.ledger.query('SELECT used FROM quota_counter WHERE key = $1', [key])).toEqual([{ used: 0n }])
})

test('a turn that nobody takes gives its request back', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  const key = `requests-per-minute|human:${person.principal.wallet}/${person.principal.wallet}|chat.submit`
  rig.submit = async () => ({ kind: 'refused', code: 'session-draining' })
  expect(await codeOf(rig.post(person, session, { message: 'hello' }))).toBe('session-draining')
  rig.submit = async () => ({ kind: 'unanswered' })
  expect(await codeOf(rig.post(person, session, { message: 'hello' }))).toBe('turn-not-accepted')
  expect(await rig.ledger.query('SELECT used FROM quota_counter WHERE key = $1', [key])).toEqual([{ used: 0n }])
})
