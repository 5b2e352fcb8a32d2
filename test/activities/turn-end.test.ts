// The last event of a try belongs to its try: a next one that has begun meanwhile is neither told of it nor closed.
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { reopenStream } from '../../db/stream.ts'
import { createTurnRig, type TurnRig } from '../support/turn-rig.ts'

let rig: TurnRig
beforeAll(async () => {
  rig = await createTurnRig()
})
afterAll(async () => rig[Symbol.asyncDispose]())

const fail = (turnId: string) =>
  new MockActivityEnvironment({ attempt: 1 }, { logger: new DefaultLogger('ERROR') }).run(() =>
    rig.activities.failTurn({ turnId, try: 1, code: 'upstream-unavailable' }),
  )
const fenceOfStream = async (turnId: string) => {
  const [row] = await rig.ledger.query('SELECT fence, closed_at FROM stream WHERE id = $1', [`turn:${turnId}`])
  return row
}

test('what the worker of a failed try says late does not end the stream of the next try', async () => {
  const { turnId } = await rig.openTurn('hello')
  // The next try opened the stream anew after the end was committed and before it was told.
  await reopenStream(rig.database.pool, `turn:${turnId}`, 2_000_000n)
  await fail(turnId)
  expect(await rig.events(turnId)).toEqual([])
  expect(await fenceOfStream(turnId)).toMatchObject({ closed_at: null })
})

test('the last event fences out whatever an attempt of the try still says', async () => {
  const { turnId } = await rig.openTurn('hello')
  await fail(turnId)
  expect((await rig.events(turnId)).map(({ kind }) => kind)).toEqual(['turn_failed'])
  expect(await fenceOfStream(turnId)).toMatchObject({ fence: 1_999_999n, closed_at: expect.any(Date) })
})
