// Holds that nobody will resolve are settled, once, and never those of live work; the audit's page stops what is broken.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLedgerActivities, type LedgerActivities } from '../../activities/ledger.ts'
import { postId, turnHoldId, voidId } from '../../crypto/turn-ids.ts'
import { inTransaction } from '../../db/transaction.ts'
import { postHold } from '../../db/turn-step.ts'
import { createEvents } from '../../telemetry/events.ts'
import { createLogger } from '../../telemetry/log.ts'
import { createMetrics } from '../../telemetry/metrics.ts'
import { readPrices } from '../../workers/files.ts'
import { createTurnRig, holdMicros, type OpenedTurn, type TurnRig } from '../support/turn-rig.ts'

let rig: TurnRig
let activities: LedgerActivities
const unsettled: string[] = []
beforeAll(async () => {
  rig = await createTurnRig()
  activities = createLedgerActivities({
    pool: rig.database.pool,
    events: {
      ...createEvents(createLogger({ level: 'silent', name: 'test' }), createMetrics()),
      holdUnsettled: ({ holdId }) => unsettled.push(holdId),
    },
    prices: await readPrices(),
    today: () => '2026-11-24',
    endLostTurns: () => rig.endLostTurns(),
  })
})
afterAll(() => rig[Symbol.asyncDispose]())

const settle = () => activities.settleHoldsPage({ after: null })
const holdOf = ({ turnId }: OpenedTurn) => turnHoldId({ turnId, try: 1, step: 1, n: 0 })
const endTryOf = ({ turnId }: OpenedTurn, secondsAgo = 120) =>
  rig.ledger.query(
    "UPDATE turn_try SET state = 'ended', ended_at = clock_timestamp() - make_interval(secs => $2) WHERE turn_id = $1",
    [turnId, secondsAgo],
  )
const usage = { inputTokens: 10, outputTokens: 5, cacheReadTokens: 0, cacheWrite5mTokens: 0, cacheWrite1hTokens: 0 }
const recordUsage = (turn: OpenedTurn, kind: 'model' | 'tool', outcome = 'ok') =>
  rig.ledger.query(
    `INSERT INTO attempt (id, seq, kind, effect_key, tenant, wallet_id, turn_id, step, scopes, hold_id, usage, outcome)
     SELECT gen_random_uuid(), nextval('effect_seq'), $3, 'e', 't', wallet_id, id, 1, '{}', $2, $4, $5 FROM turn WHERE id = $1`,
    [turn.turnId, holdOf(turn), kind, JSON.stringify(usage), outcome],
  )
async function age(holdId: string, seconds: number): Promise<void> {
  await rig.ledger.query('ALTER TABLE transfer DISABLE TRIGGER transfer_append_only')
  await rig.ledger.query('UPDATE transfer SET at = at - make_interval(secs => $2) WHERE id = $1', [holdId, seconds])
  await rig.ledger.query('ALTER TABLE transfer ENABLE TRIGGER transfer_append_only')
}

test('a hold of live work is left, however old, and so is one whose try has only just ended', async () => {
  const [running, ended] = [await rig.openTurn('one'), await rig.openTurn('two')]
  await rig.ledger.query("UPDATE turn_try SET state = 'running' WHERE turn_id = $1", [running.turnId])
  await age(holdOf(running), 200_000)
  await endTryOf(ended, 5)
  expect(await settle()).toEqual({ next: null, found: 0 })
  expect(await rig.ledger.held(running.wallet)).toBe(holdMicros)
  expect((await activities.auditLedgerPage({ after: null })).found).toBe(0)
  await endTryOf(ended)
  await endTryOf(running)
  expect(await settle()).toEqual({ next: null, found: 2 })
})

test('a hold of a try that ended without a result is voided, once', async () => {
  const turn = await rig.openTurn('three')
  await endTryOf(turn)
  const found = await Promise.all([settle(), settle(), settle()])
  expect(found.reduce((sum, page) => sum + page.found, 0)).toBe(1)
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n)
  expect(await rig.ledger.query('SELECT op FROM transfer WHERE id = $1', [voidId(holdOf(turn))])).toEqual([
    { op: 'void' },
  ])
})

test('what was used is posted: a model by its price, a tool by what it held', async () => {
  const [model, tool] = [await rig.openTurn('four'), await rig.openTurn('five', { hold: 500n })]
  await recordUsage(model, 'model')
  await recordUsage(tool, 'tool')
  await endTryOf(model)
  await endTryOf(tool)
  expect(await settle()).toEqual({ next: null, found: 2 })
  const left = await rig.ledger.available(model.wallet)
  expect(left).toBeLessThan(1_000_000n)
  expect(left).toBeGreaterThan(1_000_000n - holdMicros)
  expect(await rig.ledger.available(tool.wallet)).toBe(999_500n)
})

test('what a broken attempt had used is posted too, the newest that told any', async () => {
  const turn = await rig.openTurn('broken')
  await recordUsage(turn, 'model', 'upstream-timeout')
  await endTryOf(turn)
  expect(await settle()).toEqual({ next: null, found: 1 })
  const left = await rig.ledger.available(turn.wallet)
  expect(left).toBeLessThan(1_000_000n)
  expect(left).toBeGreaterThan(1_000_000n - holdMicros)
})

test('a hold that cannot be settled is left and counted, and hides no other', async () => {
  const [strange, plain] = [await rig.openTurn('strange'), await rig.openTurn('plain')]
  await recordUsage(strange, 'model')
  await rig.ledger.query("UPDATE turn SET model = 'taken-off-the-list' WHERE id = $1", [strange.turnId])
  await endTryOf(strange)
  await endTryOf(plain)
  expect(await settle()).toEqual({ next: null, found: 1 })
  expect(await rig.ledger.held(plain.wallet)).toBe(0n)
  expect(await rig.ledger.held(strange.wallet)).toBe(holdMicros)
  expect(unsettled).toEqual([holdOf(strange)])
  await rig.ledger.query("UPDATE turn SET model = 'scripted-1' WHERE id = $1", [strange.turnId])
  expect(await settle()).toEqual({ next: null, found: 1 })
})

test('a turn whose workflow is gone is ended and gives back what it held; one that runs, or that nobody can tell of, is left', async () => {
  const turns = [await rig.openTurn('gone'), await rig.openTurn('runs'), await rig.openTurn('unclear')] as const
  const [gone, running, unclear] = turns
  for (const { turnId } of turns)
    await rig.ledger.query(
      "UPDATE turn_try SET state = 'queued', submitted_at = submitted_at - interval '1 hour' WHERE turn_id = $1",
      [turnId],
    )
  rig.carries = async ({ turnId, sessionId }) => {
    if (turnId === unclear.turnId) throw new Error('Temporal is down.')
    return !(turnId === gone.turnId && sessionId === gone.sessionId)
  }
  await settle()
  expect(await rig.ledger.held(gone.wallet)).toBe(0n)
  expect((await rig.events(gone.turnId)).map(({ kind }) => kind)).toEqual(['turn_failed'])
  for (const { turnId } of [running, unclear])
    expect(await rig.ledger.query('SELECT state FROM turn_try WHERE turn_id = $1', [turnId])).toEqual([
      { state: 'queued' },
    ])
  expect(await rig.ledger.held(running.wallet)).toBe(holdMicros)
  rig.carries = async () => true
})

test('a hold that never had a try is settled after its time', async () => {
  const turn = await rig.openTurn('six')
  const id = randomUUID()
  await rig.ledger.query(
    "SELECT ledger_hold($1, wallet_id, 2, 7, 10::smallint, 'a', 'nobody', '{}') FROM turn WHERE id = $2",
    [id, turn.turnId],
  )
  expect(await settle()).toEqual({ next: null, found: 0 })
  await age(id, 1_000)
  expect(await settle()).toEqual({ next: null, found: 1 })
})

test('a worker that posts at the same moment and the settlement: one of them, never both', async () => {
  for (let round = 0; round < 10; round += 1) {
    const turn = await rig.openTurn(`race ${round}`)
    await endTryOf(turn)
    const holdId = holdOf(turn)
    const order = { postId: postId(holdId), holdId, excessId: randomUUID(), amountMicros: 9n, code: 10, meta: {} }
    const [posted, page] = await Promise.all([
      inTransaction(rig.database.pool, (client) => postHold(client, order)),
      settle(),
    ])
    expect([posted, page.found]).toEqual(posted === 'ok' ? ['ok', 0] : ['already_resolved', 1])
    expect(await rig.ledger.available(turn.wallet)).toBe(posted === 'ok' ? 999_991n : 1_000_000n)
  }
  expect(await rig.ledger.faults()).toEqual([])
})

test('a page of the audit stops the wallet that it finds broken', async () => {
  const turn = await rig.openTurn('seven')
  await rig.ledger.query(
    "UPDATE account SET credits_posted = credits_posted + 1 WHERE code = 'user' AND wallet_id = (SELECT wallet_id FROM turn WHERE id = $1)",
    [turn.turnId],
  )
  expect((await activities.auditLedgerPage({ after: null })).found).toBe(3)
  const stops = await rig.ledger.query('SELECT reason FROM money_stop WHERE lifted_at IS NULL ORDER BY id')
  expect(stops.map((stop) => stop['reason'])).toEqual(['totals: usdc: -1 posted, 0 pending', 'drift: user'])
})
