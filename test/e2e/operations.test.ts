// One installation through what its operator does to it: busy ports, parts that die, settings that change, Ctrl-C, a second
// start, a second installation beside it.
import { readdirSync } from 'node:fs'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isAlive, startInstallation, until, type Installation, type RunFile } from '../support/installation.ts'
import { connectLedgerFacts } from '../support/ledger-facts.ts'
import { lastOf, signIn, textOf, type Person } from '../support/person.ts'

const wanted = 20_000 + Math.floor(Math.random() * 20_000)
const opened: AsyncDisposable[] = []
let busy: Server
let house: Installation
let person: Person
let base: string

beforeAll(async () => {
  busy = createServer()
  await new Promise<void>((resolve) => busy.listen(wanted, '127.0.0.1', resolve))
  house = await startInstallation({ port: wanted, keepState: true })
  opened.push(house)
  base = (await house.run()).api[0] ?? ''
  person = await signIn(base)
  await person.json('POST', '/wallet/faucet')
}, 120_000)

afterAll(async () => {
  busy.close()
  for (const each of opened) await each[Symbol.asyncDispose]()
}, 60_000)

const steer = (run: RunFile, control: object) =>
  fetch(`${run.model}/control`, { method: 'POST', body: JSON.stringify(control) })

test('a busy port is named, and the next free one taken', async () => {
  const port = Number(new URL(base).port)
  expect(port).toBeGreaterThan(wanted)
  expect(house.output()).toContain(`Port ${wanted} is busy: the API takes ${port}.`)
})

test('a bad members file changes nothing, a good one is live within a second', async () => {
  const file = join(house.stateDir, 'members.yaml')
  const before = await readFile(file, 'utf8')
  const metrics = async () => (await person.call('GET', '/metrics')).status
  await appendFile(file, '\nmembers: [')
  await new Promise((resolve) => setTimeout(resolve, 700))
  expect(await metrics()).toBe(403)
  await writeFile(file, `${before.trimEnd()}\n  - { wallet: "${person.address}", tenant: acme, roles: [operator] }\n`)
  await until(async () => (await metrics()) === 200, 1_000)
  await writeFile(file, before)
  await until(async () => (await metrics()) === 403, 1_000)
})

test('model and tool servers that are killed serve again where they did, and turns go on', async () => {
  const before = await house.run()
  const { tools } = before.pids as unknown as { tools: number }
  process.kill(before.pids.model, 'SIGKILL')
  process.kill(tools, 'SIGKILL')
  await until(async () => {
    const { pids } = (await house.run()) as unknown as { pids: { model: number; tools: number } }
    return pids.model !== before.pids.model && pids.tools !== tools
  }, 10_000)
  const after = await house.run()
  expect([after.model, after.tools]).toEqual([before.model, before.tools])
  const reply = await person.chat({
    base,
    sessionId: await person.openSession(),
    message: 'add 19 and 23 with the workbench',
  })
  expect(textOf(reply)).toContain('42')
  // Door, both model steps and the tool call are one trace in the records, also without a receiver of spans.
  await using ledger = await connectLedgerFacts(after.databaseUrl)
  const traceId = reply.headers.get('x-trace-id')
  const records = () =>
    ledger.query(
      "SELECT body::json->>'action' AS action, body::json->>'span_id' AS span FROM audit_record WHERE body::json->>'trace_id' = $1 ORDER BY 1",
      [traceId],
    )
  await until(async () => (await records()).length >= 4, 5_000)
  const seen = await records()
  expect(seen.map(({ action }) => action)).toEqual(['chat.submit', 'model.call', 'model.call', 'tool.call'])
  expect(seen.every(({ span }) => /^[0-9a-f]{16}$/.test(String(span)))).toBe(true)
}, 40_000)

test('Postgres and Temporal that are killed in a streaming turn come back, and the turn ends once and is paid once', async () => {
  const before = await house.run()
  await steer(before, { chunkMs: 150 })
  const sessionId = await person.openSession()
  const chatting = person.chat({ base, sessionId, message: 'add 20 and 22 with the workbench' }).catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, 500))
  process.kill(before.pids.postgres, 'SIGKILL')
  process.kill(before.pids.temporal, 'SIGKILL')
  await until(async () => {
    const { pids } = await house.run()
    return pids.postgres !== before.pids.postgres && pids.temporal !== before.pids.temporal
  }, 20_000)
  const after = await house.run()
  expect([after.databaseUrl, after.temporalAddress]).toEqual([before.databaseUrl, before.temporalAddress])
  await steer(after, {})
  await chatting
  await using ledger = await connectLedgerFacts(after.databaseUrl)
  const ended = async () =>
    (
      await ledger.query(
        'SELECT 1 FROM turn_try t JOIN turn u ON u.id = t.turn_id WHERE u.session_id = $1 AND t.state = $2',
        [sessionId, 'ended'],
      )
    ).length === 1
  await until(ended, 60_000)
  await until(async () => (await ledger.held(person.address)) === 0n, 30_000)
  const [counts] = await ledger.query(
    `SELECT count(*) FILTER (WHERE kind = 'assistant')::int AS answers, count(*) FILTER (WHERE kind = 'tool')::int AS results FROM message WHERE session_id = $1`,
    [sessionId],
  )
  expect(counts).toEqual({ answers: 2, results: 1 })
  expect(await ledger.faults()).toEqual([])
  const next = await person.chat({ base, sessionId, message: 'hello again' })
  expect(lastOf(next).type).toBe('done')
}, 150_000)

test('another installation runs beside it, with a state folder and ports of its own', async () => {
  const other = await startInstallation({ port: wanted })
  opened.push(other)
  const [mine, theirs] = [await house.run(), await other.run()]
  const addresses = [mine, theirs].flatMap((run) => [
    ...run.api,
    run.temporalAddress,
    run.temporalUi,
    run.model,
    run.tools,
  ])
  expect(new Set(addresses).size).toBe(addresses.length)
  const there = await signIn(theirs.api[0] ?? '')
  expect(await there.balance()).toBe(0n)
  expect(
    (await fetch(`${theirs.api[0]}/wallet/balance`, { headers: { authorization: `Bearer ${person.token}` } })).status,
  ).toBe(401)
  await other.interrupt()
}, 90_000)

test('Ctrl-C ends everything within 10 s and leaves nothing; a second start is ready within 10 s with all data', async () => {
  const { pids } = await house.run()
  const balance = await person.balance()
  const stoppedAt = performance.now()
  await house.interrupt()
  expect(performance.now() - stoppedAt).toBeLessThan(10_000)
  const left = Object.values(pids)
    .flat()
    .filter((pid) => pid !== null && isAlive(pid))
  expect(left).toEqual([])
  expect(readdirSync(house.stateDir).filter((name) => /^(?:run\.json|temporal\.mark)/.test(name))).toEqual([])
  const again = await startInstallation({ port: wanted, stateDir: house.stateDir })
  opened.push(again)
  expect(again.readyMs).toBeLessThan(10_000)
  const now = await signIn((await again.run()).api[0] ?? '')
  expect(now.address).not.toBe(person.address)
  const reply = await fetch(`${(await again.run()).api[0]}/wallet/balance`, {
    headers: { authorization: `Bearer ${person.token}` },
  })
  expect(await reply.json()).toMatchObject({ availableBalance: String(balance) })
}, 90_000)
