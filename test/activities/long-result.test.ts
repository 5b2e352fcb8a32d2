// A tool that answers ten megabytes: the model and the stream get the beginning, the whole is kept and read on request.
import { randomBytes } from 'node:crypto'
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shownOf } from '../../activities/shown-result.ts'
import { toolResultShownBytesMax } from '../../domain/limits.ts'
import { wholeResult } from '../../gateway/whole-result.ts'
import type { ModelRequest } from '../../schemas/model.ts'
import { derivedTranscripts } from '../support/transcripts.ts'
import { ask, createTurnRig, say, type TurnRig } from '../support/turn-rig.ts'

const masterKey = randomBytes(32)
const long = 'é€😀x'.repeat(1_000_000) // ten bytes each
let rig: TurnRig

beforeAll(async () => {
  rig = await createTurnRig({ masterKey })
})
afterAll(() => rig[Symbol.asyncDispose]())

const environment = () => new MockActivityEnvironment({ attempt: 1 }, { logger: new DefaultLogger('ERROR') })

test('a short result is shown as it is, a long one by its beginning, without half a character', () => {
  const short = { text: 'x'.repeat(toolResultShownBytesMax), isError: false }
  expect(shownOf(short)).toEqual(short)
  for (const cut of ['', 'x', 'xx', 'xxx']) {
    const shown = shownOf({ text: cut + long, isError: true })
    const [beginning = '', note = ''] = shown.text.split('\n')
    expect((cut + long).startsWith(beginning)).toBe(true)
    expect(Buffer.byteLength(beginning)).toBeGreaterThan(toolResultShownBytesMax - 4)
    expect(Buffer.byteLength(beginning)).toBeLessThanOrEqual(toolResultShownBytesMax)
    expect(note).toBe(
      `[These are the first ${Buffer.byteLength(beginning)} of ${10_000_000 + cut.length} bytes; the whole result is kept with the turn.]`,
    )
    expect(shown).toMatchObject({ isError: true, wholeBytes: 10_000_000 + cut.length })
  }
})

test('the model, the stream and the transcript hold the beginning; the whole is sealed beside it and read by its owner', async () => {
  const turn = await rig.openTurn('read it all')
  const step = (number: number) => ({ turnId: turn.turnId, try: 1, step: number })
  rig.model = () => ask([{ id: 'toolu_1', name: 'everything__get-sum', input: { a: 2, b: 40 } }])
  rig.tool = async () => ({ text: long, isError: false })
  await environment().run(() => rig.activities.callModel(step(1)))
  const call = { ...step(1), toolCallId: 'toolu_1', position: 0 }
  await environment().run(() => rig.activities.callTool(call))
  await environment().run(() => rig.activities.callTool(call))
  let request: ModelRequest | undefined
  rig.model = (asked) => {
    request = asked
    return say('It is long.')
  }
  await environment().run(() => rig.activities.callModel(step(2)))
  expect(JSON.stringify(request).length).toBeLessThan(200_000)
  expect(JSON.stringify(request)).toContain('the whole result is kept with the turn')
  const told = (await rig.events(turn.turnId)).filter(({ kind }) => kind === 'tool_result').map(({ body }) => body)
  expect(told).toHaveLength(2)
  expect(told[0]).toMatchObject({ id: 'toolu_1', isError: false, wholeBytes: 10_000_000 })
  expect(told[1]).toEqual(told[0])
  expect(JSON.stringify(told).length).toBeLessThan(400_000)
  const { pool } = rig.database
  const deps = { pool, transcripts: derivedTranscripts(pool, masterKey) }
  const { sessionId, turnId } = turn
  expect(await wholeResult(deps, { sessionId, turnId, callId: 'toolu_1' })).toEqual({
    id: 'toolu_1',
    bytes: 10_000_000,
    result: long,
  })
  await expect(wholeResult(deps, { sessionId, turnId, callId: 'toolu_2' })).rejects.toMatchObject({ code: 'not-found' })
  const [row] = await rig.ledger.query('SELECT whole FROM message WHERE turn_id = $1 AND whole IS NOT NULL', [turnId])
  expect(Buffer.from(row?.['whole'] as Buffer).includes('é€😀x')).toBe(false)
}, 60_000)
