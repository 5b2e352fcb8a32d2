// The session's behaviour on a real Temporal server, with activities of the suite.
import { Client, Connection, WithStartWorkflowOperation, WorkflowUpdateFailedError } from '@temporalio/client'
import { DefaultLogger, NativeConnection, Runtime, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createSeal } from '../../crypto/seal.ts'
import { bundleWorkflows, dataConverterOf } from '../../workers/temporal.ts'
import type { LocalTemporal } from '../../workers/local/temporal.ts'
import {
  cancelTurn,
  closeSession,
  queues,
  sessionView,
  sessionWorkflowId,
  submitTurn,
  turnUpdateId,
  turnWorkflowId,
  type ChatSession,
  type TurnRef,
} from '../../workflows/contract.ts'
import { until } from '../support/installation.ts'
import { startTestTemporal } from '../support/temporal-server.ts'

let server: LocalTemporal
let connection: Connection
let client: Client
let bundle: WorkflowBundleWithSourceMap
let stop: () => Promise<void>
const dataConverter = dataConverterOf(createSeal(Buffer.alloc(32, 7)))

/** What the activities of the suite saw and do. */
const seen = { finished: [] as string[], failed: [] as { turnId: string; code: string }[], hold: false }

const activities = {
  async callModel({ turnId }: TurnRef) {
    while (seen.hold) await new Promise((resolve) => setTimeout(resolve, 20))
    if (turnId.startsWith('bad')) throw new Error('a fault of the activity')
    return { kind: 'final' }
  },
  async callTool() {},
  async finishTurn({ turnId }: TurnRef) {
    seen.finished.push(turnId)
  },
  async failTurn({ turnId, code }: TurnRef & { code: string }) {
    seen.failed.push({ turnId, code })
  },
}

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] })
  ;[server, bundle] = await Promise.all([startTestTemporal(), bundleWorkflows()])
  connection = await Connection.connect({ address: server.address })
  client = new Client({ connection, namespace: 'gatehouse', dataConverter })
  const native = await NativeConnection.connect({ address: server.address })
  const common = { connection: native, namespace: 'gatehouse', dataConverter }
  const workers = await Promise.all([
    Worker.create({ ...common, taskQueue: queues.durable, workflowBundle: bundle }),
    ...[queues.llm, queues.tools, queues.ledger].map((taskQueue) =>
      Worker.create({ ...common, taskQueue, activities }),
    ),
  ])
  const running = workers.map((worker) => worker.run())
  stop = async () => {
    workers.forEach((worker) => worker.shutdown())
    await Promise.all(running)
    await native.close()
  }
}, 90_000)

afterAll(async () => {
  seen.hold = false
  await stop()
  await connection.close()
  await server.stop()
}, 30_000)

beforeEach(() => Object.assign(seen, { finished: [], failed: [], hold: false }))

function submitTo(sessionId: string, turn: TurnRef, rollOverTurns = 100) {
  const labels = {
    sessionId,
    tenantId: 'demo',
    walletId: '1',
    agentId: 'assistant',
    stepsMax: 5,
    revocationScopes: [`session:${sessionId}`],
  }
  const startWorkflowOperation = new WithStartWorkflowOperation<ChatSession>('chatSession', {
    workflowId: sessionWorkflowId(sessionId),
    taskQueue: queues.durable,
    workflowIdConflictPolicy: 'USE_EXISTING',
    args: [{ labels, queue: [], remembered: [], turns: 0, rollOverTurns }],
  })
  return client.workflow.executeUpdateWithStart(submitTurn, {
    updateId: turnUpdateId(turn),
    args: [turn],
    startWorkflowOperation,
  })
}

const codeOf = (error: unknown) =>
  error instanceof WorkflowUpdateFailedError ? (error.cause as { type?: string }).type : String(error)

test('a fifth waiting turn is refused, and the refusal reaches the caller', async () => {
  const sessionId = randomUUID()
  seen.hold = true
  for (let index = 0; index < 5; index += 1) await submitTo(sessionId, { turnId: `t${index}`, try: 1 })
  expect(await submitTo(sessionId, { turnId: 't5', try: 1 }).catch(codeOf)).toBe('turn-queue-full')
  seen.hold = false
  await until(() => seen.finished.length === 5, 20_000)
  expect(seen.finished).toEqual(['t0', 't1', 't2', 't3', 't4'])
})

test('a closed session refuses', async () => {
  const sessionId = randomUUID()
  seen.hold = true
  await submitTo(sessionId, { turnId: 'running', try: 1 })
  const handle = client.workflow.getHandle(sessionWorkflowId(sessionId))
  await handle.signal(closeSession)
  seen.hold = false
  await handle.result()
  expect(seen.failed).toMatchObject([{ turnId: 'running', code: 'turn-cancelled' }])
})

test('the same turn and try is accepted again and runs once, also after the session rolled over', async () => {
  const sessionId = randomUUID()
  const turn = { turnId: 'once', try: 1 }
  await submitTo(sessionId, turn, 2)
  await submitTo(sessionId, turn, 2)
  for (const turnId of ['second', 'third']) await submitTo(sessionId, { turnId, try: 1 }, 2)
  await until(() => seen.finished.length === 3, 20_000)
  const handle = client.workflow.getHandle(sessionWorkflowId(sessionId))
  await until(async () => (await handle.query(sessionView)).turns < 2, 10_000) // a new run counts anew
  await submitTo(sessionId, turn, 2)
  await submitTo(sessionId, { turnId: 'fourth', try: 1 }, 2)
  await until(() => seen.finished.includes('fourth'), 20_000)
  expect(seen.finished).toEqual(['once', 'second', 'third', 'fourth'])
})

test('a cancel reaches the running turn only, and the next one runs', async () => {
  const sessionId = randomUUID()
  seen.hold = true
  await submitTo(sessionId, { turnId: 'first', try: 1 })
  await submitTo(sessionId, { turnId: 'next', try: 1 })
  const handle = client.workflow.getHandle(sessionWorkflowId(sessionId))
  await handle.signal(cancelTurn, { turnId: 'next' }) // it does not run yet: nothing happens
  await handle.signal(cancelTurn, { turnId: 'first' })
  seen.hold = false
  await until(() => seen.finished.includes('next'), 20_000)
  expect(seen.failed).toMatchObject([{ turnId: 'first', code: 'turn-cancelled' }])
})

test('histories hold ciphertext only', async () => {
  const sessionId = randomUUID()
  await submitTo(sessionId, { turnId: 'a-turn-that-can-be-told', try: 1 })
  await until(() => seen.finished.length === 1, 20_000)
  const history = await client.workflow
    .getHandle(turnWorkflowId({ sessionId, turnId: 'a-turn-that-can-be-told', try: 1 }))
    .fetchHistory()
  const text = (history.events ?? [])
    .flatMap((event) => event.workflowExecutionStartedEventAttributes?.input?.payloads ?? [])
    .map((payload) => Buffer.from(payload.data ?? []).toString('latin1'))
  expect(text).toHaveLength(1)
  expect(text.join()).not.toContain('assistant')
})
