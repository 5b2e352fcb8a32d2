// The ids of the session tree go with the work: into the reservations of each step and the spans of what leaves.
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace-base'
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTracing, type Tracing } from '../../telemetry/tracing.ts'
import { ask, createTurnRig, say, type OpenedTurn, type TurnRig } from '../support/turn-rig.ts'

const spans = new InMemorySpanExporter()
let tracing: Tracing
let rig: TurnRig
beforeAll(async () => {
  tracing = createTracing({ name: 'test', exporter: spans })
  rig = await createTurnRig({ tracing })
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await tracing[Symbol.asyncDispose]()
})

const environment = () => new MockActivityEnvironment({ attempt: 1 }, { logger: new DefaultLogger('ERROR') })
const stepOf = ({ turnId }: OpenedTurn, step: number) => ({ turnId, try: 1, step })

test('each step of a turn names user, workflow and agent session, in the ledger and in its spans', async () => {
  const turn = await rig.openTurn('add 2 and 40')
  rig.model = () => ask([{ id: 'toolu_1', name: 'everything__get-sum', input: { a: 2, b: 40 } }])
  rig.tool = async () => ({ text: '42', isError: false })
  await environment().run(() => rig.activities.callModel(stepOf(turn, 1)))
  const call = { ...stepOf(turn, 1), toolCallId: 'toolu_1', position: 0 }
  await environment().run(() => rig.activities.callTool(call))
  rig.model = () => say('It is 42.')
  await environment().run(() => rig.activities.callModel(stepOf(turn, 2)))
  const [row] = await rig.ledger.query('SELECT wsid, asid FROM chat_session WHERE id = $1', [turn.sessionId])
  const ids = { usid: 'u', wsid: row?.['wsid'], asid: row?.['asid'] }
  const holds = await rig.ledger.query(
    "SELECT meta FROM transfer WHERE op = 'pending' AND workflow_id = $1 AND meta <> '{}' ORDER BY seq",
    [`${turn.turnId}:1`],
  )
  expect(holds).toHaveLength(2) // the first model step was reserved by the door, here by the rig
  for (const { meta } of holds) expect(meta).toMatchObject({ ...ids, turnId: turn.turnId, sessionId: turn.sessionId })
  const left = spans.getFinishedSpans().filter(({ name }) => name.startsWith('upstream'))
  expect(left.map(({ name }) => name)).toEqual(['upstream model', 'upstream tool', 'upstream model'])
  for (const { attributes } of left) {
    const named = Object.fromEntries(Object.entries(ids).map(([name, id]) => [`gatehouse.${name}`, id]))
    expect(attributes).toMatchObject({ ...named, 'gatehouse.turn': turn.turnId })
  }
  const [model] = left
  expect(model?.attributes).toMatchObject({
    'gatehouse.tokens.input': expect.any(Number) as number,
    'gatehouse.tokens.output': expect.any(Number) as number,
    'gatehouse.cost.picos': expect.stringMatching(/^[1-9]\d*$/) as string,
  })
})
