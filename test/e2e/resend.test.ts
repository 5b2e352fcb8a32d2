// Clients without a key that send the same again: one answer, one charge, through two replicas and whatever breaks; and
// processes that are told to stop while they answer.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startFaultyProxy, type Fault, type FaultyProxy } from '../support/clumsy-client.ts'
import { isAlive, startInstallation, until, type Installation } from '../support/installation.ts'
import { connectLedgerFacts, type LedgerFacts } from '../support/ledger-facts.ts'
import { lastOf, signIn, type Person } from '../support/person.ts'
import { playResend } from '../support/resend-play.ts'

let house: Installation
let proxy: FaultyProxy
let ledger: LedgerFacts
let person: Person
let model: string

beforeAll(async () => {
  house = await startInstallation({ args: ['--api', '2'], env: { GATEHOUSE_DRAIN_SECONDS: '30' } })
  const run = await house.run()
  model = run.model
  proxy = await startFaultyProxy(run.api)
  ledger = await connectLedgerFacts(run.databaseUrl)
  person = await signIn(run.api[0] ?? '')
  await ledger.fund(person.address, 1_000_000_000n)
}, 120_000)
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await ledger[Symbol.asyncDispose]()
  await house[Symbol.asyncDispose]()
}, 60_000)

const control = (directive: object) => fetch(`${model}/control`, { method: 'POST', body: JSON.stringify(directive) })
const play = (message: string, rounds: readonly (readonly Fault[])[]) =>
  playResend({ proxy, person, ledger, message, rounds })
const one = { turns: 1, userMessages: 1, charges: 1, held: 0n }

test.each([
  ['500', [500, 500]],
  ['429', [429]],
  ['401', [401]],
  ['a cut before the first word', ['cut-early', 'cut-early', 'cut-early']],
  ['a request that is lost, and one whose answer is', ['lost', 500]],
] satisfies [string, Fault[]][])('after %s the answer comes once and is paid once', async (_name, faults) => {
  const { sent, ...seen } = await play('hello', [faults])
  expect(sent[0]?.statuses).toEqual([
    ...faults.map((fault) => (fault === 'cut-early' ? 0 : fault === 'lost' ? 500 : fault)),
    200,
  ])
  expect(lastOf({ events: sent[0]?.events ?? [] }).type).toBe('done')
  expect(seen).toEqual(one)
})

test('while the first is still running the next ones join it', async () => {
  await control({ chunkMs: 200 })
  const { sent, ...seen } = await play('hello again', [[500, 429, 'cut-early']])
  expect([sent[0]?.dedupe, lastOf({ events: sent[0]?.events ?? [] }).type]).toEqual(['joined', 'done'])
  expect(seen).toEqual(one)
  await control({})
})

test('two times yes, each answered, are two turns and two charges; a yes that was cut and sent again is one', async () => {
  const { sent, ...seen } = await play('yes', [[], []])
  expect(sent.map(({ dedupe }) => dedupe)).toEqual(['new', 'new'])
  expect(seen).toEqual({ turns: 2, userMessages: 2, charges: 2, held: 0n })
  const { sent: again, ...cut } = await play('yes', [['cut-early']])
  expect(again[0]?.dedupe).not.toBe('new')
  expect(cut).toEqual(one)
})

test.each(['api', 'durable'] as const)(
  'a process (%s) that is told to stop finishes what it streams',
  async (part) => {
    await control({ chunkMs: 120 })
    const { pids } = await house.run()
    const sessionId = await person.openSession()
    const before = await ledger.available(person.address)
    const chatting = person.chat({ sessionId, message: 'hello once more' })
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const [pid = 0] = pids[part]
    process.kill(pid, 'SIGTERM')
    const reply = await chatting
    expect(lastOf(reply)).toMatchObject({ type: 'done' })
    // Not begun anew by another process: what ran was finished.
    expect(reply.events.filter(({ data }) => JSON.stringify(data).includes('attempt_restarted'))).toEqual([])
    await until(async () => (await ledger.held(person.address)) === 0n, 10_000)
    expect(String(before - (await ledger.available(person.address)))).toBe(lastOf(reply).data['costRaw'])
    await until(async () => !isAlive(pid) && (await house.run()).pids[part][0] !== pid, 20_000)
    await control({})
  },
  60_000,
)
