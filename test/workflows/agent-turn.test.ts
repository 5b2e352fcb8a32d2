// Whole turns through the real workflows, worker, codec, database and pipeline; only the model and the tools are
// scripted.
import { randomBytes } from 'node:crypto'
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js'
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace-base'
import type { WorkflowHandle } from '@temporalio/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { GatewayError } from '../../domain/errors.ts'
import { createTracing, type Tracing } from '../../telemetry/tracing.ts'
import { createBench, sessionHandle, turnHandle, type Bench } from '../support/durable-rig.ts'
import { until } from '../support/installation.ts'
import { ask, createTurnRig, say, usageOf, type OpenedTurn, type TurnRig } from '../support/turn-rig.ts'

let tracing: Tracing
let bench: Bench
let rig: TurnRig
const spans = new InMemorySpanExporter()
beforeAll(async () => {
  tracing = createTracing({ name: 'test', exporter: spans })
  ;[bench, rig] = await Promise.all([createBench(tracing), createTurnRig({ tracing })])
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await bench[Symbol.asyncDispose]()
})

const planted = 'planted-secret-7731'
const working = <T>(work: () => Promise<T>) => bench.withWorkers(rig.activities, work)
const submit = ({ labels, turnId }: OpenedTurn) =>
  bench.durable.submitTurn({ labels, turn: { turnId, try: 1 }, rollOverTurns: 200, timeoutMs: 8_000 })
const outcomeOf = async ({ turnId }: OpenedTurn) =>
  (await rig.ledger.query('SELECT outcome FROM turn WHERE id = $1', [turnId]))[0]?.['outcome'] as
    | Record<string, unknown>
    | undefined
const ended = (turn: OpenedTurn) => until(async () => Boolean(await outcomeOf(turn)), 15_000)
const rawHistory = async (handle: WorkflowHandle) => historyToJSON(await handle.fetchHistory())
const sumCall = (id: string) => ({ id, name: 'everything__get-sum', input: { a: 2, b: 40 } })

// The history with everything beside it that base64 hides.
function readable(history: string): string {
  const hidden = history.match(/[A-Za-z0-9+/]{16,}={0,2}/g) ?? []
  return [history, ...hidden.map((text) => Buffer.from(text, 'base64').toString('latin1'))].join('\n')
}

async function expectSettled(turn: OpenedTurn): Promise<void> {
  expect(await rig.ledger.faults()).toEqual([])
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
}

test('a model that fails for good ends the turn with its code, and neither text nor stack stands in the history', async () => {
  const turn = await rig.openTurn(planted)
  rig.model = () => {
    throw new GatewayError('upstream-refused', `No entry for ${planted}.`)
  }
  await working(async () => {
    await submit(turn)
    await ended(turn)
  })
  expect(await outcomeOf(turn)).toMatchObject({ status: 'error', code: 'upstream-refused' })
  await expectSettled(turn)
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n)
  const history = await rawHistory(turnHandle(bench, turn.sessionId, turn.turnId))
  expect(history).toContain('upstream-refused')
  for (const text of [planted, 'activities/model.ts', 'callModel (']) expect(history).not.toContain(text)
})

test('a tool that ends the turn takes its siblings with it', async () => {
  const turn = await rig.openTurn('two tools')
  rig.model = () => ask([sumCall('one'), sumCall('two')])
  let aborted = false
  let calls = 0
  rig.tool = ({ signal }) => {
    calls += 1
    if (calls === 1) {
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted = true
          reject(signal.reason as Error)
        })
      })
    }
    return Promise.reject(new GatewayError('revoked', 'The tool was revoked.'))
  }
  await working(async () => {
    await submit(turn)
    await ended(turn)
  })
  expect(aborted).toBe(true)
  expect(await outcomeOf(turn)).toMatchObject({ status: 'error', code: 'revoked' })
  await expectSettled(turn)
})

const spansOf = (traceId: string) => spans.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId)

test('a turn with a tool answers, charges each step once and is one trace from the door to the upstream', async () => {
  const turn = await rig.openTurn(`add 2 and 40, ${planted}`)
  let asked = 0
  rig.model = () => (asked++ === 0 ? ask([sumCall('toolu_9')]) : say('It is 42.'))
  rig.tool = async () => ({ text: '42', isError: false })
  const door = randomBytes(16).toString('hex')
  await working(async () => {
    await tracing.request('POST chat', { traceId: door, spanId: '00f067aa0ba902b7', requestId: 'r1' }, () =>
      submit(turn),
    )
    await ended(turn)
    await until(async () => (await rig.events(turn.turnId)).some(({ kind }) => kind === 'turn_completed'), 2_000)
    // The workflow's own span leaves the sandbox when the workflow closes, a moment after its last activity.
    await until(() => spansOf(door).some((span) => span.name.startsWith('RunWorkflow:')), 5_000)
  })
  // 50 in, 10 out = 115; the tool 500; 100 in, 20 out = 230
  expect(await outcomeOf(turn)).toMatchObject({ status: 'done', costRaw: '845', toolCallCount: 1 })
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n - 845n)
  await expectSettled(turn)
  const kinds = (await rig.events(turn.turnId)).map(({ kind }) => kind).filter((kind) => kind !== 'delta')
  expect(kinds).toEqual(['tool_call', 'tool_result', 'turn_completed'])
  const names = spansOf(door).map((span) => span.name)
  for (const name of ['POST chat', 'RunActivity:callModel', 'upstream model', 'RunActivity:callTool', 'upstream tool'])
    expect(names).toContain(name)
  expect(names.some((name) => name.startsWith('RunWorkflow:'))).toBe(true)
})

test('the histories of a turn hold ids and ciphertext, nothing of the talk', async () => {
  const turn = await rig.openTurn(planted)
  rig.model = () => say(`You said ${planted}.`)
  await working(async () => {
    await submit(turn)
    await ended(turn)
  })
  const all = await Promise.all(
    [sessionHandle(bench, turn.sessionId), turnHandle(bench, turn.sessionId, turn.turnId)].map(rawHistory),
  )
  for (const history of all) {
    expect(history).toContain('encryption-key-id')
    for (const text of [planted, 'Chat with', 'The answer is complete', turn.wallet, 'stepsMax'])
      expect(readable(history)).not.toContain(text)
  }
})

test('cancelling reaches the upstream within a second, keeps what was said and bills it', async () => {
  const turn = await rig.openTurn('talk for ever')
  let abortedAt = 0
  rig.model = async function* (_request, { signal }) {
    yield { type: 'usage', usage: usageOf(100, 1) }
    yield { type: 'text', text: 'word '.repeat(8) }
    await new Promise<void>((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        abortedAt = performance.now()
        reject(signal.reason as Error)
      })
    })
  }
  let cancelledAt = 0
  await working(async () => {
    await submit(turn)
    await until(async () => (await rig.events(turn.turnId)).length > 0, 5_000)
    cancelledAt = performance.now()
    await bench.durable.cancelTurn(turn.sessionId, turn.turnId)
    await ended(turn)
  })
  expect(abortedAt - cancelledAt).toBeLessThan(1_000)
  expect(await outcomeOf(turn)).toMatchObject({ status: 'error', code: 'turn-cancelled' })
  await expectSettled(turn)
  // 100 in, 40 bytes = 10 tokens out: 150 × 1.15 = 172.5
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n - 173n)
})
