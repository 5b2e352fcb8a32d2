// The session's mailbox against a real Temporal server: what it refuses, what it accepts twice, how it rolls over, how it
// is cancelled and closed.
import { randomUUID } from 'node:crypto'
import { Context } from '@temporalio/activity'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDurable } from '../../clients/durable.ts'
import { turnQueueMax } from '../../domain/limits.ts'
import { closeSession, revoked, sessionView, submitTurn } from '../../workflows/contract.ts'
import { until } from '../support/installation.ts'
import {
  createBench,
  labelsOf,
  sessionHandle,
  turnHandle,
  type Activities,
  type Bench,
} from '../support/durable-rig.ts'

let bench: Bench
beforeAll(async () => {
  bench = await createBench()
})
afterAll(async () => bench[Symbol.asyncDispose]())

type Told = { what: string; turnId: string; code?: string }

/** Activities that remember; `hold` keeps every model call open until it is released or cancelled. */
function fakes(options: { hold?: boolean } = {}) {
  const told: Told[] = []
  const waiting: (() => void)[] = []
  const activities: Activities = {
    callModel: async ({ turnId }: { turnId: string }) => {
      told.push({ what: 'model', turnId })
      if (options.hold === true) {
        const context = Context.current()
        const beat = setInterval(() => context.heartbeat(), 50)
        const released = new Promise<void>((resolve) => waiting.push(resolve))
        await Promise.race([released, context.cancelled]).finally(() => clearInterval(beat))
      }
      return { kind: 'final' }
    },
    finishTurn: async ({ turnId }: { turnId: string }) => void told.push({ what: 'done', turnId }),
    failTurn: async ({ turnId, code }: { turnId: string; code: string }) =>
      void told.push({ what: 'failed', turnId, code }),
  }
  const release = () => waiting.splice(0).forEach((resolve) => resolve())
  const of = (what: string) => told.filter((each) => each.what === what)
  return { activities, told, release, of }
}

const submit = (sessionId: string, turnId: string, rollOverTurns = 200) =>
  bench.durable.submitTurn({ labels: labelsOf(sessionId), turn: { turnId, try: 1 }, rollOverTurns, timeoutMs: 8_000 })

test('a turn that nobody takes is reported as unanswered, within its time', async () => {
  const startedAt = performance.now()
  const order = { labels: labelsOf(randomUUID()), turn: { turnId: randomUUID(), try: 1 }, rollOverTurns: 9 }
  expect(await bench.durable.submitTurn({ ...order, timeoutMs: 700 })).toEqual({ kind: 'unanswered' })
  expect(performance.now() - startedAt).toBeLessThan(3_000)
  await sessionHandle(bench, order.labels.sessionId).terminate()
})

test('a Temporal that is down is reported as unanswered, and as not ready', async () => {
  const down = createDurable({ address: '127.0.0.1:9', namespace: 'gatehouse', client: {} })
  const order = { labels: labelsOf(randomUUID()), turn: { turnId: randomUUID(), try: 1 }, rollOverTurns: 9 }
  expect(await down.submitTurn({ ...order, timeoutMs: 500 })).toEqual({ kind: 'unanswered' })
  expect(await down.isReady()).toBe(false)
  await expect(down.carriesTurn({ sessionId: randomUUID(), turnId: randomUUID(), try: 1 })).rejects.toBeInstanceOf(
    Error,
  )
  await down[Symbol.asyncDispose]()
})

test('a full queue is refused with its code, and what was accepted still runs', async () => {
  const { activities, release, of } = fakes({ hold: true })
  const sessionId = randomUUID()
  const turns = Array.from({ length: turnQueueMax + 2 }, () => randomUUID())
  await bench.withWorkers(activities, async () => {
    for (const turnId of turns.slice(0, -1)) expect(await submit(sessionId, turnId)).toEqual({ kind: 'accepted' })
    expect(await submit(sessionId, turns.at(-1) ?? '')).toEqual({ kind: 'refused', code: 'turn-queue-full' })
    const timer = setInterval(release, 20)
    await until(() => of('done').length === turnQueueMax + 1, 10_000)
    clearInterval(timer)
    await sessionHandle(bench, sessionId).signal(closeSession)
    await sessionHandle(bench, sessionId).result()
  })
  expect(of('done').map((each) => each.turnId)).toEqual(turns.slice(0, -1))
})

test('a closing session refuses, ends what waits and cancels what runs', async () => {
  const { activities, of } = fakes({ hold: true })
  const sessionId = randomUUID()
  const [first, second] = [randomUUID(), randomUUID()]
  await bench.withWorkers(activities, async () => {
    await submit(sessionId, first)
    await submit(sessionId, second)
    await until(() => of('model').length === 1, 5_000)
    await sessionHandle(bench, sessionId).signal(revoked, { epoch: 3 })
    expect(await submitToRunning(sessionId)).toBe('session-closed')
    await sessionHandle(bench, sessionId).result()
  })
  expect(of('failed')).toEqual([
    { what: 'failed', turnId: first, code: 'turn-cancelled' },
    { what: 'failed', turnId: second, code: 'revoked' },
  ])
  expect(of('model')).toHaveLength(1)
})

// Straight to the workflow: the launcher would start a new run of a session that has closed meanwhile.
async function submitToRunning(sessionId: string): Promise<unknown> {
  try {
    await sessionHandle(bench, sessionId).executeUpdate(submitTurn, { args: [{ turnId: randomUUID(), try: 1 }] })
    return 'accepted'
  } catch (error) {
    return (error as { cause?: { type?: unknown } }).cause?.type
  }
}

test('the same turn and try again is accepted and runs once, also after the session rolled over', async () => {
  const { activities, of } = fakes()
  const sessionId = randomUUID()
  const turnId = randomUUID()
  await bench.withWorkers(activities, async () => {
    const [one, two] = await Promise.all([submit(sessionId, turnId, 1), submit(sessionId, turnId, 1)])
    expect([one, two]).toEqual([{ kind: 'accepted' }, { kind: 'accepted' }])
    await until(async () => (await viewOf(sessionId)).turns === 0 && of('done').length === 1, 5_000)
    expect(await submit(sessionId, turnId, 1)).toEqual({ kind: 'accepted' })
    expect(await submit(sessionId, randomUUID(), 1)).toEqual({ kind: 'accepted' })
    await until(() => of('done').length === 2, 5_000)
  })
  expect(of('model').filter((each) => each.turnId === turnId)).toHaveLength(1)
})

const viewOf = (sessionId: string) => sessionHandle(bench, sessionId).query(sessionView)

test('a turn is carried while its workflow runs or its session has it waiting, and by nobody after both are terminated', async () => {
  const { activities, of } = fakes({ hold: true })
  const sessionId = randomUUID()
  const [first, second] = [randomUUID(), randomUUID()]
  const carried = (turnId: string) => bench.durable.carriesTurn({ sessionId, turnId, try: 1 })
  await bench.withWorkers(activities, async () => {
    await submit(sessionId, first)
    await submit(sessionId, second)
    await until(() => of('model').length === 1, 5_000)
    expect([await carried(first), await carried(second), await carried(randomUUID())]).toEqual([true, true, false])
    await sessionHandle(bench, sessionId).terminate()
    expect(await carried(second)).toBe(false)
    await until(async () => !(await carried(first)), 10_000) // its child is cancelled, and closes its rows itself
    expect(of('failed')).toEqual([{ what: 'failed', turnId: first, code: 'turn-cancelled' }])
    await submit(sessionId, randomUUID()) // a new run of the session knows nothing of them
    expect(await carried(second)).toBe(false)
    await sessionHandle(bench, sessionId).signal(closeSession)
    await sessionHandle(bench, sessionId).result()
  })
  expect(await bench.durable.carriesTurn({ sessionId: randomUUID(), turnId: second, try: 1 })).toBe(false)
})

test('a session rolls over between turns and keeps its mailbox', async () => {
  const { activities, of } = fakes()
  const sessionId = randomUUID()
  const turns = Array.from({ length: 5 }, () => randomUUID())
  await bench.withWorkers(activities, async () => {
    const first = await runIdAfter(sessionId, turns[0] ?? '')
    for (const turnId of turns.slice(1)) {
      await until(async () => {
        const answer = await submit(sessionId, turnId, 2)
        return answer.kind === 'accepted'
      }, 10_000)
    }
    await until(() => of('done').length === turns.length, 10_000)
    const { runId } = await sessionHandle(bench, sessionId).describe()
    expect(runId).not.toBe(first)
    expect((await viewOf(sessionId)).remembered).toHaveLength(turns.length)
  })
  expect(of('done').map((each) => each.turnId)).toEqual(turns)
})

test('an idle run completes, and the next turn starts a new one', async () => {
  const { activities, of } = fakes()
  const sessionId = randomUUID()
  const order = { labels: labelsOf(sessionId), rollOverTurns: 200, timeoutMs: 8_000, idleMs: 400 }
  const say = (turnId: string) => bench.durable.submitTurn({ ...order, turn: { turnId, try: 1 } })
  const [first, second] = [randomUUID(), randomUUID()]
  await bench.withWorkers(activities, async () => {
    expect(await say(first)).toEqual({ kind: 'accepted' })
    const { runId } = await sessionHandle(bench, sessionId).describe()
    await bench.client.workflow.getHandle(`session:${sessionId}`, runId).result()
    expect(await say(second)).toEqual({ kind: 'accepted' })
    expect((await sessionHandle(bench, sessionId).describe()).runId).not.toBe(runId)
    await sessionHandle(bench, sessionId).result()
    expect(await say(first)).toEqual({ kind: 'accepted' }) // sent again: its rows say that it ended
    await until(() => of('failed').length === 1, 5_000)
    await sessionHandle(bench, sessionId).result()
  })
  expect(of('model').map(({ turnId }) => turnId)).toEqual([first, second])
})

test('turns that come as a run goes idle are all taken, each once', async () => {
  const { activities, of } = fakes()
  const sessionId = randomUUID()
  const order = { labels: labelsOf(sessionId), rollOverTurns: 200, timeoutMs: 8_000, idleMs: 40 }
  const turns = Array.from({ length: 25 }, () => randomUUID())
  await bench.withWorkers(activities, async () => {
    for (const [index, turnId] of turns.entries()) {
      const isTaken = async () =>
        (await bench.durable.submitTurn({ ...order, turn: { turnId, try: 1 } })).kind === 'accepted'
      await until(isTaken, 10_000)
      await until(() => of('done').length === index + 1, 10_000)
      await new Promise((resolve) => setTimeout(resolve, 25 + index)) // about when the run ends
    }
    await sessionHandle(bench, sessionId).result()
  })
  expect(of('done').map(({ turnId }) => turnId)).toEqual(turns)
  expect(of('model')).toHaveLength(turns.length)
})

async function runIdAfter(sessionId: string, turnId: string): Promise<string> {
  await submit(sessionId, turnId, 2)
  return (await sessionHandle(bench, sessionId).describe()).runId
}

test('cancelling reaches the activity of the running turn, and a waiting turn ends without having run', async () => {
  const { activities, of } = fakes({ hold: true })
  const sessionId = randomUUID()
  const [running, waiting] = [randomUUID(), randomUUID()]
  await bench.withWorkers(activities, async () => {
    await submit(sessionId, running)
    await submit(sessionId, waiting)
    await until(() => of('model').length === 1, 5_000)
    await bench.durable.cancelTurn(sessionId, waiting)
    await until(() => of('failed').length === 1, 5_000)
    const startedAt = performance.now()
    await bench.durable.cancelTurn(sessionId, running)
    await turnHandle(bench, sessionId, running).result()
    expect(performance.now() - startedAt).toBeLessThan(2_000)
    await bench.durable.closeSession(sessionId)
    await sessionHandle(bench, sessionId).result()
  })
  expect(of('failed').map(({ turnId, code }) => [turnId, code])).toEqual([
    [waiting, 'turn-cancelled'],
    [running, 'turn-cancelled'],
  ])
  expect(of('model').map((each) => each.turnId)).toEqual([running])
})

test('messages to a session that does not run are no fault', async () => {
  await expect(bench.durable.cancelTurn(randomUUID(), randomUUID())).resolves.toBeUndefined()
  await expect(bench.durable.closeSession(randomUUID())).resolves.toBeUndefined()
  expect(await bench.durable.isReady()).toBe(true)
})

test('state that workflows could share is not shared', async () => {
  const answers = await bench.withWorkers(fakes().activities, () =>
    Promise.all(
      [1, 2].map((n) =>
        bench.client.workflow.execute('canary', { taskQueue: 'durable', workflowId: `canary:${n}:${randomUUID()}` }),
      ),
    ),
  )
  expect(answers).toEqual([1, 1])
})
