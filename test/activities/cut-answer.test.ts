// Answers that do not come to their end, from a model over HTTP: what was metered is posted, once, and the words that
// were said are kept; what cost nothing is given back.
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createModelUpstream, platformCredential, type ModelUpstream } from '../../clients/models.ts'
import { GatewayError } from '../../domain/errors.ts'
import { modelAttemptsMax } from '../../domain/limits.ts'
import { startScriptedModel } from '../../workers/local/scripted-model.ts'
import { createTurnRig, holdMicros, say, usageOf, type OpenedTurn, type TurnRig } from '../support/turn-rig.ts'

const funds = 1_000_000n
const ending = new AbortController()
let rig: TurnRig
let url: string
let upstream: ModelUpstream

beforeAll(async () => {
  rig = await createTurnRig()
  ;({ url } = await startScriptedModel({ port: 0, signal: ending.signal }))
  upstream = createModelUpstream({ baseUrl: url, credential: platformCredential('key'), limits: { idleMs: 150 } })
})
afterEach(async () => {
  const faults = await rig.ledger.faults()
  if (faults.length > 0) throw new Error(`The ledger does not add up: ${JSON.stringify(faults)}`)
})
afterAll(async () => {
  ending.abort()
  await rig[Symbol.asyncDispose]()
})

const control = (settings: object) => fetch(`${url}/control`, { method: 'POST', body: JSON.stringify(settings) })
const environment = (attempt: number) =>
  new MockActivityEnvironment({ attempt }, { logger: new DefaultLogger('ERROR') })
const modelStep = (mock: MockActivityEnvironment, { turnId }: OpenedTurn) =>
  mock.run((ref: { turnId: string; try: number; step: number }) => rig.activities.callModel(ref), {
    turnId,
    try: 1,
    step: 1,
  })
const callModel = (turn: OpenedTurn, attempt = 1) => modelStep(environment(attempt), turn)
const fail = ({ turnId }: OpenedTurn, code: string) =>
  environment(1).run(() => rig.activities.failTurn({ turnId, try: 1, code }))
const messageOf = async ({ turnId }: OpenedTurn) => {
  const [said] = await rig.messages(turnId, 'assistant')
  return said && { content: said.content as { text: string }[], why: said.stop_reason }
}
const attemptsOf = ({ turnId }: OpenedTurn) =>
  rig.ledger.query(
    `SELECT outcome, (usage->>'inputTokens')::integer AS input, (usage->>'outputTokens')::integer AS output FROM attempt WHERE turn_id = $1 ORDER BY seq`,
    [turnId],
  )
const spentBy = async (turn: OpenedTurn) => funds - (await rig.ledger.available(turn.wallet))
const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error)
    else signal.addEventListener('abort', () => reject(signal.reason as Error))
  })

const usage = { input_tokens: 100, output_tokens: 900 }
// Input at 1 and output at 5 micro-USD a token, times 1.15, rounded half up.
const costOf = (input: number, output: number) => (BigInt(input + 5 * output) * 115n + 50n) / 100n

test.each([
  ['a cut socket', { cutAfterChunks: 3 }, 'upstream-unavailable'],
  ['an error inside the stream', { errorAfterChunks: 3 }, 'upstream-unavailable'],
  ['an upstream that falls silent', { chunkMs: 2_000 }, 'upstream-timeout'],
])('%s at the last attempt: the words are kept, and what they cost is posted', async (_name, directive, code) => {
  const turn = await rig.openTurn('tell me a long story')
  rig.model = (request, options) => upstream.stream(request, options)
  await control({ usage, ...directive })
  await expect(callModel(turn, modelAttemptsMax)).rejects.toMatchObject({ type: code })
  const message = await messageOf(turn)
  const said = message?.content[0]?.text ?? ''
  expect(message?.why).toBe(code)
  expect(said.length).toBeGreaterThan(0)
  const cost = costOf(100, Math.max(1, Math.ceil(said.length / 4)))
  expect(await spentBy(turn)).toBe(cost)
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
  expect(await attemptsOf(turn)).toMatchObject([{ outcome: code, input: 100 }])
  await expect(callModel(turn, modelAttemptsMax)).rejects.toMatchObject({ type: code })
  await fail(turn, code)
  expect(await spentBy(turn)).toBe(cost)
  const words = (await rig.events(turn.turnId)).flatMap(({ kind, body }) => (kind === 'delta' ? [body] : []))
  expect(words.join('')).toBe(said)
})

test('a broken attempt that is tried again is metered, not charged: the whole answer is, once', async () => {
  const turn = await rig.openTurn('hello')
  rig.model = (request, options) => upstream.stream(request, options)
  await control({ usage, cutAfterChunks: 2 })
  await expect(callModel(turn, 1)).rejects.toMatchObject({ type: 'upstream-unavailable', nonRetryable: false })
  expect(await messageOf(turn)).toBeUndefined()
  expect([await rig.ledger.held(turn.wallet), await spentBy(turn)]).toEqual([holdMicros, holdMicros])
  await control({ usage })
  expect(await callModel(turn, 2)).toEqual({ kind: 'final' })
  expect(await spentBy(turn)).toBe(costOf(100, 900))
  expect(await attemptsOf(turn)).toMatchObject([
    { outcome: 'upstream-unavailable', input: 100 },
    { outcome: 'ok', input: 100 },
  ])
})

test('a turn that is cancelled between two attempts pays for the newest that was metered, once', async () => {
  const turn = await rig.openTurn('hello')
  rig.model = (request, options) => upstream.stream(request, options)
  for (const [attempt, input_tokens] of [
    [1, 100],
    [2, 70],
  ] as const) {
    await control({ usage: { input_tokens, output_tokens: 9 }, cutAfterChunks: 3 })
    await expect(callModel(turn, attempt)).rejects.toMatchObject({ type: 'upstream-unavailable' })
  }
  await control({ fail: { times: 1, status: 529 } })
  await expect(callModel(turn, 3)).rejects.toMatchObject({ type: 'upstream-unavailable' })
  await fail(turn, 'turn-cancelled')
  await fail(turn, 'turn-cancelled')
  const [, newest, unmetered] = await attemptsOf(turn)
  expect([newest?.['input'], unmetered?.['input']]).toEqual([70, null])
  expect(await spentBy(turn)).toBe(costOf(70, Number(newest?.['output'])))
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
})

test('a cancel after the first count and before the first word is paid, and leaves no message', async () => {
  const turn = await rig.openTurn('hello')
  const mock = environment(1)
  rig.model = async function* (_request, { signal }) {
    yield { type: 'usage', usage: usageOf(100, 1) }
    yield { type: 'thinking', text: 'twelve bytes' }
    mock.cancel()
    await untilAborted(signal)
  }
  await expect(modelStep(mock, turn)).rejects.toMatchObject({ name: 'CancelledFailure' })
  expect(await messageOf(turn)).toBeUndefined()
  expect(await spentBy(turn)).toBe(costOf(100, 3))
  const [row] = await rig.ledger.query('SELECT model_output FROM turn WHERE id = $1', [turn.turnId])
  expect(row?.['model_output']).toBe(false)
})

test('a tool call of a cut answer is counted and never run', async () => {
  const turn = await rig.openTurn('add')
  rig.model = async function* () {
    yield* say('Well: ', { inputTokens: 100, outputTokens: 2 })
    yield { type: 'tool_use', id: 'toolu_1', name: 'everything__get-sum', input: { a: 2, b: 40 } }
    await Promise.resolve()
    throw new GatewayError('upstream-unavailable', 'The model was cut off.')
  }
  await expect(callModel(turn, modelAttemptsMax)).rejects.toMatchObject({ type: 'upstream-unavailable' })
  expect((await messageOf(turn))?.content).toEqual([{ type: 'text', text: 'Well: ' }])
  expect(await spentBy(turn)).toBe(costOf(100, Math.ceil((6 + '{"a":2,"b":40}'.length) / 4)))
})

test.each([529, 400, 401])('a vendor that answers %i has cost nothing: the hold is given back', async (status) => {
  const turn = await rig.openTurn('hello')
  rig.model = (request, options) => upstream.stream(request, options)
  await control({ usage, fail: { times: 1, status } })
  await expect(callModel(turn, modelAttemptsMax)).rejects.toMatchObject({ type: expect.stringMatching(/^upstream-/) })
  await fail(turn, 'upstream-unavailable')
  expect([await spentBy(turn), await rig.ledger.held(turn.wallet)]).toEqual([0n, 0n])
})

test('a model without a price today is not called', async () => {
  const turn = await rig.openTurn('hello')
  await rig.ledger.query("UPDATE turn SET model = 'nothing-9' WHERE id = $1", [turn.turnId])
  rig.model = () => {
    throw new Error('The model must not be called.')
  }
  await expect(callModel(turn)).rejects.toMatchObject({ type: 'model-unknown', nonRetryable: true })
})
