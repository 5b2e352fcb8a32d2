// The steps of a turn on a real database and the real pipeline: what is stored, charged, voided and told, also when a
// step is repeated.
import { ActivityCancellationDetails } from '@temporalio/common'
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { revokeScopes } from '../../db/revocation.ts'
import { GatewayError } from '../../domain/errors.ts'
import { ask, createTurnRig, holdMicros, say, usageOf, type OpenedTurn, type TurnRig } from '../support/turn-rig.ts'

let rig: TurnRig
beforeAll(async () => {
  rig = await createTurnRig()
})
afterEach(async () => {
  const faults = await rig.ledger.faults()
  if (faults.length > 0) throw new Error(`The ledger does not add up: ${JSON.stringify(faults)}`)
  rig.crash = () => undefined
})
afterAll(async () => rig[Symbol.asyncDispose]())

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error)
    else signal.addEventListener('abort', () => reject(signal.reason as Error))
  })
}

const environment = (attempt = 1) => new MockActivityEnvironment({ attempt }, { logger: new DefaultLogger('ERROR') })
const step = ({ turnId }: OpenedTurn, number = 1) => ({ turnId, try: 1, step: number })
const modelStep = (mock: MockActivityEnvironment, turn: OpenedTurn, number = 1) =>
  mock.run((ref: ReturnType<typeof step>) => rig.activities.callModel(ref), step(turn, number))
const callModel = (turn: OpenedTurn, number = 1, attempt = 1) => modelStep(environment(attempt), turn, number)
const finish = ({ turnId }: OpenedTurn) =>
  environment().run(() => rig.activities.finishTurn({ turnId, try: 1, stopped: null }))
const fail = ({ turnId }: OpenedTurn, code: string) =>
  environment().run(() => rig.activities.failTurn({ turnId, try: 1, code }))
const sum = { id: 'toolu_1', name: 'everything__get-sum', input: { a: 2, b: 40 } }
const callTool = (turn: OpenedTurn, attempt = 1, toolCallId = 'toolu_1') =>
  environment(attempt).run(() => rig.activities.callTool({ ...step(turn), toolCallId, position: 0 }))
const rowsOf = (turn: OpenedTurn, kind: string) => rig.messages(turn.turnId, kind)
const resultOf = async (turn: OpenedTurn) => {
  const [row] = await rowsOf(turn, 'tool')
  const [block] = (row?.content ?? []) as { content: string; isError: boolean }[]
  return block
}

test('a failing model is told by its code, and keeps its hold for the next attempt', async () => {
  const turn = await rig.openTurn('hello')
  rig.model = () => {
    throw new GatewayError('upstream-rate-limited', 'The model answered 429.', { retryAfterMs: 7_000 })
  }
  await expect(callModel(turn)).rejects.toMatchObject({
    type: 'upstream-rate-limited',
    nextRetryDelay: 7_000,
    nonRetryable: false,
  })
  expect(await rig.ledger.held(turn.wallet)).toBe(holdMicros)
  rig.model = () => {
    throw new GatewayError('upstream-refused', 'The model answered 401.')
  }
  await expect(callModel(turn)).rejects.toMatchObject({ type: 'upstream-refused', nonRetryable: true })
  await fail(turn, 'upstream-refused')
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n)
  expect(await rig.events(turn.turnId)).toEqual([
    { kind: 'turn_failed', body: { code: 'upstream-refused', message: 'The model refused our credential.' } },
  ])
})

test('a try that has ended calls nobody', async () => {
  const turn = await rig.openTurn('hello')
  await fail(turn, 'turn-cancelled')
  rig.model = () => {
    throw new Error('The model must not be called.')
  }
  await expect(callModel(turn)).rejects.toMatchObject({ type: 'turn-cancelled', nonRetryable: true })
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
})

test('a revoked wallet calls nobody, and its running answer is cut, stored and billed', async () => {
  const turn = await rig.openTurn('hello')
  rig.model = async function* (_request, { signal }) {
    yield { type: 'usage', usage: usageOf(100, 1) }
    yield { type: 'text', text: 'half an answer' }
    await revokeScopes(rig.database.pool, { scopes: [`wallet:${turn.wallet}`], reason: 'test', by: 'test' })
    await untilAborted(signal)
  }
  await expect(callModel(turn)).rejects.toMatchObject({ type: 'revoked', nonRetryable: true })
  expect(await rowsOf(turn, 'assistant')).toEqual([
    { content: [{ type: 'text', text: 'half an answer' }], stop_reason: 'cancelled' },
  ])
  // 100 tokens in, ceil(14 / 4) out, at 1 and 5 micro-dollars, times 1.15
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n - 138n)
  await expect(callModel(turn, 2)).rejects.toMatchObject({ type: 'revoked' })
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
})

test('a cancelled answer is cut, stored and billed, and the activity ends as cancelled', async () => {
  const turn = await rig.openTurn('hello')
  const mock = environment()
  rig.model = async function* (_request, { signal }) {
    yield { type: 'usage', usage: usageOf(100, 1) }
    yield { type: 'text', text: 'half' }
    mock.cancel()
    await untilAborted(signal)
  }
  await expect(modelStep(mock, turn)).rejects.toMatchObject({ name: 'CancelledFailure' })
  expect(await rowsOf(turn, 'assistant')).toHaveLength(1)
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
  await fail(turn, 'turn-cancelled')
  const kinds = (await rig.events(turn.turnId)).map(({ kind }) => kind)
  expect(kinds).toEqual(['delta', 'turn_failed'])
})

test('a worker that shuts down stores nothing: the next attempt answers anew', async () => {
  const turn = await rig.openTurn('hello')
  const mock = environment()
  rig.model = async function* (_request, { signal }) {
    yield { type: 'text', text: 'half' }
    mock.cancel('WORKER_SHUTDOWN', shutdownDetails)
    await untilAborted(signal)
  }
  await expect(modelStep(mock, turn)).rejects.toMatchObject({ nonRetryable: false })
  expect(await rowsOf(turn, 'assistant')).toHaveLength(0)
  rig.model = () => say('whole')
  expect(await callModel(turn, 1, 2)).toEqual({ kind: 'final' })
  const told = await rig.events(turn.turnId)
  expect(told).toContainEqual({ kind: 'attempt_started', body: { code: 'attempt_restarted', discardFromSeq: 1 } })
})

const shutdownDetails = ActivityCancellationDetails.fromProto({ isWorkerShutdown: true })

test('an answer is stored, charged and told once, however often the step runs', async () => {
  const turn = await rig.openTurn('hello')
  let calls = 0
  rig.model = () => {
    calls += 1
    return say('one two three')
  }
  expect(await callModel(turn)).toEqual({ kind: 'final' })
  expect(await callModel(turn, 1, 2)).toEqual({ kind: 'final' })
  await finish(turn)
  await finish(turn)
  expect(calls).toBe(1)
  // 100 × 1 + 20 × 5 micro-dollars, times 1.15
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n - 230n)
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
  const told = await rig.events(turn.turnId)
  const words = told.flatMap(({ kind, body }) => (kind === 'delta' ? [body] : []))
  expect(words.join('')).toBe('one two three')
  const done = told.filter(({ kind }) => kind === 'turn_completed')
  expect(done).toHaveLength(1)
  expect(done[0]?.body).toMatchObject({
    model: 'scripted-1',
    cost: '$0.00023',
    costRaw: '230',
    balanceRemaining: '999770',
    usage: { inputTokens: 100, outputTokens: 20 },
    toolCallCount: 0,
    turnId: turn.turnId,
  })
})

test('an attempt that was replaced while it streamed can neither tell nor record', async () => {
  const turn = await rig.openTurn('hello')
  let entered = 0
  let release: () => void = () => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  rig.model = async function* () {
    entered += 1
    const mine = entered
    if (mine === 1) await gate
    yield* say(mine === 1 ? 'from the dead' : 'from the living')
  }
  const zombie = callModel(turn, 1, 1)
  zombie.catch(() => undefined)
  await waitFor(() => entered === 1)
  expect(await callModel(turn, 1, 2)).toEqual({ kind: 'final' })
  release()
  await expect(zombie).rejects.toMatchObject({ nonRetryable: false })
  const words = (await rig.events(turn.turnId)).flatMap(({ kind, body }) => (kind === 'delta' ? [String(body)] : []))
  expect(words.join('')).toBe('from the living')
  expect(await rowsOf(turn, 'assistant')).toHaveLength(1)
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
})

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

test('the model is offered no destructive tool, and reads earlier turns whole', async () => {
  const turn = await rig.openTurn('first question')
  let seen: { messages: number; tools: string[] } = { messages: 0, tools: [] }
  rig.model = (request) => {
    seen = { messages: request.messages.length, tools: request.tools.map((tool) => tool.name) }
    return say('first answer')
  }
  await callModel(turn)
  await finish(turn)
  const second = await rig.nextTurn(turn, 'second question')
  await callModel(second)
  expect(seen).toEqual({ messages: 3, tools: ['everything__get-sum', 'workbench__write_note'] })
})

test('a tool call runs through the pipeline, is charged once, and its result is told again on a repeat', async () => {
  const turn = await rig.openTurn('add')
  rig.model = () => ask([sum])
  expect(await callModel(turn)).toEqual({ kind: 'tools', calls: [{ toolCallId: 'toolu_1', position: 0 }] })
  let calls = 0
  rig.tool = async ({ args }) => {
    calls += 1
    return { text: JSON.stringify(args), isError: false }
  }
  await callTool(turn)
  await callTool(turn, 2)
  expect(calls).toBe(1)
  expect(await resultOf(turn)).toMatchObject({ content: '{"a":2,"b":40}', isError: false })
  // the model step cost 115, the tool 500
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n - 115n - 500n)
  const kinds = (await rig.events(turn.turnId)).map(({ kind }) => kind)
  expect(kinds).toEqual(['tool_call', 'tool_result', 'tool_result'])
})

test.each([
  { name: 'workbench__write_note', says: /^approval-required \(agent-writes-need-approval\)/ },
  { name: 'workbench__delete_note', says: /^policy-refused \(destructive-never\)/ },
  { name: 'nowhere__get-sum', says: /^tool-unknown/ },
  { name: 'no-such-tool', says: /^tool-unknown/ },
])('$name is not run: the model reads why, and nothing is charged', async ({ name, says }) => {
  const turn = await rig.openTurn('do it')
  rig.model = () => ask([{ ...sum, name }])
  await callModel(turn)
  rig.tool = () => Promise.reject(new Error('The tool must not be called.'))
  await callTool(turn)
  const result = await resultOf(turn)
  expect(result?.isError).toBe(true)
  expect(result?.content).toMatch(says)
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n - 115n)
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
})

test('a failing read is tried again, then told to the model, and costs nothing', async () => {
  const turn = await rig.openTurn('add')
  rig.model = () => ask([sum])
  await callModel(turn)
  rig.tool = () => Promise.reject(new GatewayError('tool-timeout', 'The tool did not answer in time.'))
  await expect(callTool(turn, 1)).rejects.toMatchObject({ type: 'tool-timeout', nonRetryable: false })
  await callTool(turn, 3)
  expect(await resultOf(turn)).toMatchObject({ isError: true })
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n - 115n)
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
})

test('a step that the wallet cannot hold ends the turn, after what was incurred was posted', async () => {
  const turn = await rig.openTurn('add', { funds: holdMicros })
  rig.model = () => ask([sum])
  await callModel(turn)
  await drain(turn, 200n)
  await expect(callTool(turn)).rejects.toMatchObject({ type: 'insufficient-funds', nonRetryable: true })
  await expect(callModel(turn, 2)).rejects.toMatchObject({ type: 'insufficient-funds', nonRetryable: true })
  await fail(turn, 'insufficient-funds')
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
  expect(await rig.ledger.available(turn.wallet)).toBe(200n)
})

// Spends all but `left` of the wallet.
async function drain(turn: OpenedTurn, left: bigint): Promise<void> {
  const spend = (await rig.ledger.available(turn.wallet)) - left
  await rig.ledger.query(
    `SELECT ledger_write(gen_random_uuid(), 'posted', wallet_account(id, 'user'), 2, $2, NULL, 1::smallint, NULL, NULL, '{}') FROM wallet WHERE address = $1`,
    [turn.wallet, spend],
  )
}

test('an agent takes no more steps than its recipe says', async () => {
  const turn = await rig.openTurn('loop')
  expect(await callModel(turn, 13)).toEqual({ kind: 'stopped', reason: 'The agent may take 12 steps.' })
})
