// What is reserved before a model is asked: enough for what it is sent, also when that grew since the door, and no more
// than it can cost.
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { holdOfStep } from '../../activities/model-hold.ts'
import { turnHoldId, voidId } from '../../crypto/turn-ids.ts'
import { voidHold } from '../../db/turn-step.ts'
import { GatewayError } from '../../domain/errors.ts'
import { ask, createTurnRig, say, type OpenedTurn, type TurnRig } from '../support/turn-rig.ts'

let rig: TurnRig
beforeAll(async () => {
  rig = await createTurnRig()
})
afterEach(async () => {
  const faults = await rig.ledger.faults()
  if (faults.length > 0) throw new Error(`The ledger does not add up: ${JSON.stringify(faults)}`)
})
afterAll(async () => rig[Symbol.asyncDispose]())

const callModel = ({ turnId }: OpenedTurn, step = 1, attempt = 1) =>
  new MockActivityEnvironment({ attempt }, { logger: new DefaultLogger('ERROR') }).run(() =>
    rig.activities.callModel({ turnId, try: 1, step }),
  )

test('an image counts by table in every step, not by its bytes', async () => {
  const turn = await rig.openTurn('what is this?')
  const image = { type: 'image', mediaType: 'image/png', data: 'A'.repeat(2_000_000) }
  await rig.ledger.query(
    "UPDATE message SET content = jsonb_build_array($2::jsonb) WHERE turn_id = $1 AND kind = 'user'", // clear, as once
    [turn.turnId, JSON.stringify(image)],
  )
  rig.model = () => ask([{ id: 'toolu_1', name: 'everything__get-sum', input: {} }])
  await callModel(turn)
  rig.model = () => say('a cat')
  expect(await callModel(turn, 2)).toEqual({ kind: 'final' })
})

test('a hold that the conversation has outgrown is taken anew before the model is asked, once', async () => {
  const turn = await rig.openTurn('hello', { hold: 100n })
  const held: bigint[] = []
  rig.model = async function* () {
    held.push(await rig.ledger.held(turn.wallet))
    if (held.length === 1) throw new GatewayError('upstream-timeout', 'The model did not answer in time.')
    yield* say('hello')
  }
  await expect(callModel(turn)).rejects.toMatchObject({ type: 'upstream-timeout' })
  expect(await callModel(turn, 1, 2)).toEqual({ kind: 'final' })
  expect(held[0]).toBeGreaterThan(1_024n * 5n) // the most it may write, at least
  expect(held[1]).toBe(held[0])
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n - 230n)
})

test('a wallet that cannot cover what the conversation has become asks no model', async () => {
  const turn = await rig.openTurn('hello', { hold: 100n, funds: 200n })
  rig.model = () => {
    throw new Error('The model must not be called.')
  }
  await expect(callModel(turn)).rejects.toMatchObject({ type: 'insufficient-funds', nonRetryable: true })
  expect(await rig.ledger.available(turn.wallet)).toBe(200n)
})

test('a hold that was voided for a larger one is not taken for standing when the request has become smaller again', async () => {
  const turn = await rig.openTurn('hello', { hold: 100n })
  const first = turnHoldId({ turnId: turn.turnId, try: 1, step: 1, n: 0 })
  await voidHold(rig.database.pool, { voidId: voidId(first), holdId: first, reason: 'too-small' }) // then the worker died
  expect(await holdOfStep({ pool: rig.database.pool }, { turnId: turn.turnId, try: 1, step: 1 }, 90n)).toEqual({
    id: turnHoldId({ turnId: turn.turnId, try: 1, step: 1, n: 1 }),
    amountMicros: 90n,
  })
})
