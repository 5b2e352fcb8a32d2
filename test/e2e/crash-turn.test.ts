// A worker dies (SIGKILL) at a named point of a turn with a tool; another takes over. The answer arrives, each logical
// step is stored and charged once, and no hold is left.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CrashPoint } from '../../activities/deps.ts'
import { scrubbedEnvironment, startInstallation, until, type Installation } from '../support/installation.ts'
import { connectLedgerFacts } from '../support/ledger-facts.ts'
import { lastOf, signIn, textOf } from '../support/person.ts'

let house: Installation
const workers: ChildProcess[] = []

beforeAll(async () => {
  house = await startInstallation({ args: ['--durable', '0'] })
}, 120_000)

afterAll(async () => {
  for (const worker of workers) worker.kill('SIGKILL')
  await house[Symbol.asyncDispose]()
}, 30_000)

async function startWorker(point: CrashPoint | 'none'): Promise<ChildProcess> {
  const run = await house.run()
  const worker = spawn(process.execPath, ['--import', 'tsx', 'test/support/crash-durable.ts', point], {
    env: scrubbedEnvironment({
      GATEHOUSE_STATE_DIR: house.stateDir,
      GATEHOUSE_PUBLIC_URL: run.api[0] ?? '',
      GATEHOUSE_MODEL_URL: run.model,
      GATEHOUSE_TOOLS_URL: run.tools,
      DATABASE_URL: run.databaseUrl,
      TEMPORAL_ADDRESS: run.temporalAddress,
    }),
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  workers.push(worker)
  await once(worker, 'message')
  return worker
}

test('a turn that nobody takes is 503, costs nothing and never runs; the same POST is its next try', async () => {
  const { api, databaseUrl } = await house.run()
  const base = api[0] ?? ''
  await using ledger = await connectLedgerFacts(databaseUrl)
  const person = await signIn(base)
  await person.json('POST', '/wallet/faucet')
  const before = await person.balance()
  const order = { base, sessionId: await person.openSession(), message: 'add 30 and 12 with the workbench' }
  const refused = await person.chat(order)
  expect([refused.status, refused.body]).toMatchObject([503, { code: 'TURN_NOT_ACCEPTED' }])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect([await person.balance(), await ledger.held(person.address)]).toEqual([before, 0n])
  const worker = await startWorker('none')
  const reply = await person.chat(order)
  expect(textOf(reply)).toContain('42')
  expect(lastOf(reply)).toMatchObject({ type: 'done', data: { toolCallCount: 1 } })
  const tries = () =>
    ledger.query(
      'SELECT y.try, y.state, y.reason FROM turn t JOIN turn_try y ON y.turn_id = t.id WHERE t.session_id = $1 ORDER BY y.try',
      [order.sessionId],
    )
  await until(async () => (await tries()).every(({ state }) => state === 'ended'), 5_000)
  expect(await tries()).toEqual([
    { try: 1, state: 'ended', reason: 'unaccepted' },
    { try: 2, state: 'ended', reason: 'done' },
  ])
  const [counts] = await ledger.query(
    `SELECT count(*) FILTER (WHERE kind = 'user')::int AS asked, count(*) FILTER (WHERE kind = 'assistant')::int AS answers FROM message WHERE session_id = $1`,
    [order.sessionId],
  )
  expect(counts).toEqual({ asked: 1, answers: 2 })
  expect([await ledger.held(person.address), await ledger.faults()]).toEqual([0n, []])
  worker.kill('SIGTERM')
  await once(worker, 'exit')
}, 60_000)

test.each(['model-mid-stream', 'tool-after-record'] as const)(
  'a worker that dies at %s loses and doubles nothing',
  async (point) => {
    const { api, databaseUrl } = await house.run()
    await using ledger = await connectLedgerFacts(databaseUrl)
    const person = await signIn(api[0] ?? '')
    await person.json('POST', '/wallet/faucet')
    const sessionId = await person.openSession()
    const dying = await startWorker(point)
    const chatting = person.chat({ base: api[0] ?? '', sessionId, message: 'add 20 and 22 with the workbench' })
    await once(dying, 'exit')
    expect(dying.signalCode).toBe('SIGKILL')
    const living = await startWorker('none')
    const reply = await chatting
    expect(textOf(reply)).toContain('42')
    expect(lastOf(reply)).toMatchObject({ type: 'done', data: { toolCallCount: 1 } })
    await until(async () => (await ledger.held(person.address)) === 0n, 10_000)
    const [counts] = await ledger.query(
      `SELECT count(*) FILTER (WHERE kind = 'assistant')::int AS answers, count(*) FILTER (WHERE kind = 'tool')::int AS results,
      (SELECT count(*)::int FROM transfer WHERE op = 'post' AND workflow_id LIKE (SELECT id FROM turn WHERE session_id = $1) || ':%') AS postings
     FROM message WHERE session_id = $1`,
      [sessionId],
    )
    expect(counts).toEqual({ answers: 2, results: 1, postings: 3 })
    expect(await ledger.faults()).toEqual([])
    living.kill('SIGTERM')
    await once(living, 'exit')
  },
  60_000,
)
