// The door of a chat turn, on a real database and pipeline: refusals charge nothing and never run, clumsy clients get one
// turn, money admits exactly what it pays for.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { lockTurn } from '../../db/turn-step.ts'
import { inTransaction } from '../../db/transaction.ts'
import { turnQueueMax } from '../../domain/limits.ts'
import { createMemoryQuota } from '../../gateway/quota-memory.ts'
import { openTurn } from '../../gateway/turn-door.ts'
import { sweepTurns, createTurnSweep } from '../../gateway/turn-sweep.ts'
import { createDoorRig, type DoorRig } from '../support/door-rig.ts'

let rig: DoorRig

beforeAll(async () => {
  rig = await createDoorRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})
afterEach(() => {
  rig.submit = async () => ({ kind: 'accepted' })
  rig.clock = () => new Date()
})

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'none',
    (error: { code?: string }) => error.code ?? String(error),
  )
const tries = (turnId: string) =>
  rig.ledger.query('SELECT try, state, reason FROM turn_try WHERE turn_id = $1 ORDER BY try', [turnId])
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

test('what the door refuses is on record as refused, with its code, and once', async () => {
  const poor = await rig.signIn({ funds: 0n })
  expect(await codeOf(rig.post(poor, await rig.openSession(poor), { message: 'hello' }))).toBe('insufficient-funds')
  expect(await recorded(poor.principal.tenant)).toEqual([{ status: 'refused', code: 'insufficient-funds' }])
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  await rig.post(person, session, { message: 'yes', key: 'k1' })
  expect(await codeOf(rig.post(person, session, { message: 'no', key: 'k1' }))).toBe('idempotency-key-reused')
  expect(
    (await recorded(person.principal.tenant)).toSorted((a, b) => (String(a['code']) < String(b['code']) ? -1 : 1)),
  ).toEqual([
    { status: 'refused', code: 'idempotency-key-reused' },
    { status: 'admitted', code: null },
  ])
})

test('a wallet without money is refused before anything is written or submitted', async () => {
  const person = await rig.signIn({ funds: 0n })
  const session = await rig.openSession(person)
  const before = rig.submitted.length
  await expect(rig.post(person, session, { message: 'hello' })).rejects.toMatchObject({
    code: 'insufficient-funds',
    details: { available: '0', required: expect.stringMatching(/^\d+$/) },
  })
  expect(rig.submitted.length).toBe(before)
  for (const table of ['turn', 'message', 'turn_key']) expect(await count(table, session.id)).toBe(0)
})

test('a revoked token opens no turn, even where this process has not heard of it', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  await rig.ledger.query(
    "INSERT INTO revocation_epoch (scope, epoch, seq, reason, revoked_by) VALUES ($1, 1, 0, 'test', 'test')",
    [`token:${person.principal.tokenId}`],
  )
  expect(await codeOf(rig.post(person, session, { message: 'hello' }))).toBe('revoked')
  expect(await rig.ledger.held(person.principal.wallet)).toBe(0n)
})

test('a session that the validator refuses: the hold is voided, the try ended, and the same POST tries again', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  rig.submit = async () => ({ kind: 'refused', code: 'session-closed' })
  expect(await codeOf(rig.post(person, session, { message: 'hello' }))).toBe('session-closed')
  expect(await rig.ledger.held(person.principal.wallet)).toBe(0n)
  rig.submit = async () => ({ kind: 'accepted' })
  const turn = await rig.post(person, session, { message: 'hello' })
  expect(turn).toMatchObject({ try: 2, dedupe: 'first' })
  expect(await tries(turn.turnId)).toMatchObject([{ state: 'ended', reason: 'refused' }, { state: 'queued' }])
  expect(await count('message', session.id)).toBe(1)
})

test('nobody answers: 503, nothing held, and the first activity of that try may not run any more', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  rig.submit = async () => ({ kind: 'unanswered' })
  expect(await codeOf(rig.post(person, session, { message: 'hello' }))).toBe('turn-not-accepted')
  expect(await rig.ledger.held(person.principal.wallet)).toBe(0n)
  const turnId = rig.submitted.at(-1)?.turn.turnId ?? ''
  expect(await rig.ledger.query('SELECT turn_try_run($1, 1) AS runs', [turnId])).toEqual([{ runs: false }])
})

test('a turn that was taken is not refused because its row cannot be written: it would run all the same', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  const query = (...order: Parameters<typeof rig.pool.query>) =>
    JSON.stringify(order[0]).includes("SET state = 'queued'")
      ? Promise.reject(new Error('cut'))
      : rig.pool.query(...order)
  const pool = { query, connect: () => rig.pool.connect() } as unknown as typeof rig.pool
  const turn = await openTurn(
    { ...rig.door, pool },
    {
      principal: person.principal,
      agent: rig.agent,
      session,
      idempotencyKey: undefined,
      model: undefined,
      content: [{ type: 'text', text: 'hello' }],
    },
  )
  expect(await tries(turn.turnId)).toMatchObject([{ state: 'submitted' }])
  expect(await rig.post(person, session, { message: 'hello' })).toMatchObject({ turnId: turn.turnId, dedupe: 'joined' })
})

test('nobody answers the door, but the worker has begun: it streams', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  rig.submit = async ({ turn }) => {
    await rig.ledger.query('SELECT turn_try_run($1, $2)', [turn.turnId, turn.try])
    return { kind: 'unanswered' }
  }
  const turn = await rig.post(person, session, { message: 'hello' })
  expect(await tries(turn.turnId)).toMatchObject([{ state: 'running' }])
})

test('nobody answers the door, but the turn is over already: it streams the answer', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  rig.submit = async ({ turn }) => {
    await rig.answer(session, turn, ['quick'])
    return { kind: 'unanswered' }
  }
  expect(await rig.post(person, session, { message: 'hello' })).toMatchObject({ try: 1 })
})

test('eight of the same POST at once are one turn, one hold and one message', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  const turns = await Promise.all(Array.from({ length: 8 }, () => rig.post(person, session, { message: 'hello' })))
  expect(new Set(turns.map((turn) => turn.turnId)).size).toBe(1)
  expect(turns.filter((turn) => turn.dedupe === 'first')).toHaveLength(1)
  expect(await count('message', session.id)).toBe(1)
  const holds = await rig.ledger.query("SELECT meta FROM transfer WHERE op = 'pending' AND meta->>'turnId' = $1", [
    turns[0]?.turnId,
  ])
  const { usid } = person.principal.sessionIds
  expect(holds).toMatchObject([{ meta: { usid, wsid: session.wsid, asid: session.asid, sessionId: session.id } }])
})

test('an explicit key replays for a day, delivered or not, and refuses another body', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  const turn = await rig.post(person, session, { message: 'yes', key: 'k1' })
  await rig.answer(session, turn, ['sure'])
  await rig.ledger.query('UPDATE turn SET done_delivered_at = now() WHERE id = $1', [turn.turnId])
  expect(await rig.post(person, session, { message: 'yes', key: 'k1' })).toMatchObject({
    turnId: turn.turnId,
    dedupe: 'replay',
  })
  expect(await codeOf(rig.post(person, session, { message: 'no', key: 'k1' }))).toBe('idempotency-key-reused')
  rig.clock = () => new Date(Date.now() + 86_500_000)
  const later = await rig.post(person, session, { message: 'no', key: 'k1' })
  expect(later.turnId).not.toBe(turn.turnId)
})

test('"yes" again after a delivered answer is a second turn; after a cut it is the same one', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  const first = await rig.post(person, session, { message: 'yes' })
  await rig.answer(session, first, ['one'])
  expect(await rig.post(person, session, { message: 'yes' })).toMatchObject({ turnId: first.turnId, dedupe: 'replay' })
  await rig.ledger.query('UPDATE turn SET done_delivered_at = now() WHERE id = $1', [first.turnId])
  const second = await rig.post(person, session, { message: 'yes' })
  expect(second.turnId).not.toBe(first.turnId)
})

test('a turn that failed before it said anything gets its next try, and viewers see only that', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  const first = await rig.post(person, session, { message: 'again' })
  await rig.ledger.query(
    "SELECT ledger_void(gen_random_uuid(), hold_id, 12::smallint, '{}') FROM turn_try WHERE turn_id = $1",
    [first.turnId],
  )
  await rig.fail(first, 'upstream-timeout')
  const second = await rig.post(person, session, { message: 'again' })
  expect(second).toMatchObject({ turnId: first.turnId, try: 2 })
  await rig.answer(session, second, ['now'])
  const kinds = (await rig.bus.read(`turn:${first.turnId}`, 0n, 10)).map((chunk) => chunk.kind)
  expect(kinds).toEqual(['delta', 'turn_completed'])
  expect(await count('message', session.id)).toBe(2)
})

test('a next try and a late worker of the one before wait for each other, never in a circle', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  const first = await rig.post(person, session, { message: 'late' })
  await rig.ledger.query(
    "SELECT ledger_void(gen_random_uuid(), hold_id, 12::smallint, '{}') FROM turn_try WHERE turn_id = $1",
    [first.turnId],
  )
  await rig.fail(first, 'upstream-timeout')
  const second = await inTransaction(rig.pool, async (client) => {
    await lockTurn(client, first.turnId)
    const next = rig.post(person, session, { message: 'late' })
    await expect
      .poll(async () => Number((await rig.ledger.query(waiting))[0]?.['n']), { timeout: 5_000 })
      .toBeGreaterThan(0)
    await client.query('SELECT 1 FROM chat_session WHERE id = $1 FOR NO KEY UPDATE', [session.id])
    await client.query(
      "SELECT ledger_post(gen_random_uuid(), hold_id, 1, 10::smallint, '{}', gen_random_uuid()) FROM turn_try WHERE turn_id = $1 AND try = 1",
      [first.turnId],
    )
    return { next }
  })
  expect(await second.next).toMatchObject({ turnId: first.turnId, try: 2 })
})

const waiting = `SELECT count(*) AS n FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%turn_begin%'`

test('more messages than may wait are refused, and hold nothing', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  for (let index = 0; index <= turnQueueMax; index += 1)
    await rig.post(person, session, { message: `message ${index}` })
  const held = await rig.ledger.held(person.principal.wallet)
  expect(await codeOf(rig.post(person, session, { message: 'one more' }))).toBe('turn-queue-full')
  expect(await rig.ledger.held(person.principal.wallet)).toBe(held)
})

test('the sweep ends tries that nobody took, voids their holds, and leaves queued ones alone', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  const queued = await rig.post(person, session, { message: 'queued' })
  rig.submit = () => new Promise(() => undefined)
  void rig.post(person, session, { message: 'lost' })
  await expect.poll(() => rig.submitted.at(-1)?.turn.turnId).not.toBe(queued.turnId)
  const lost = rig.submitted.at(-1)?.turn.turnId ?? ''
  expect(await sweepTurns(rig.pool)).toBe(0)
  expect(await sweepTurns(rig.pool, -1)).toBeGreaterThan(0)
  expect(await tries(lost)).toMatchObject([{ state: 'ended', reason: 'swept' }])
  expect(await tries(queued.turnId)).toMatchObject([{ state: 'queued' }])
})

test('what a turn wrote into a deleted session is purged by the sweep', async () => {
  const person = await rig.signIn()
  const session = await rig.openSession(person)
  await rig.post(person, session, { message: 'secret' })
  await rig.ledger.query("UPDATE chat_session SET state = 'deleted', last_active_at = now() WHERE id = $1", [
    session.id,
  ])
  const faults: Error[] = []
  const sweep = createTurnSweep({
    pool: rig.pool,
    quota: createMemoryQuota(),
    onFault: (error) => faults.push(error),
    everyMs: 20,
  })
  await expect.poll(() => count('message', session.id)).toBe(0)
  await sweep[Symbol.asyncDispose]()
  expect(faults).toEqual([])
})

test('with money for 50, of 200 sessions at once exactly 50 begin and 150 are refused', async () => {
  const person = await rig.signIn({ funds: 0n })
  const sessions = []
  for (let index = 0; index < 200; index += 1) sessions.push(await rig.openSession(person))
  const probe = await rig.post(person, sessions[0]!, { message: 'same length' }).catch((error: unknown) => error)
  const required = BigInt((probe as { details: { required: string } }).details.required)
  await rig.ledger.fund(person.principal.wallet, required * 50n)
  const before = rig.submitted.length
  const codes = await Promise.all(
    sessions.map((session) => codeOf(rig.post(person, session, { message: 'same length' }))),
  )
  expect(codes.filter((code) => code === 'none')).toHaveLength(50)
  expect(codes.filter((code) => code === 'insufficient-funds')).toHaveLength(150)
  expect(rig.submitted.length - before).toBe(50)
  expect(await rig.ledger.available(person.principal.wallet)).toBe(0n)
})

test('after all of this the ledger has no fault', async () => {
  expect(await rig.ledger.faults()).toEqual([])
})
