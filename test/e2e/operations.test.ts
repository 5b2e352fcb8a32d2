// One installation through what its operator does to it: busy ports, parts that die, settings that change, Ctrl-C, a second
// start, a second installation beside it.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { Connection, ScheduleClient } from '@temporalio/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from '../support/house-rules.ts'
import {
  isAlive,
  scrubbedEnvironment,
  startInstallation,
  until,
  type Installation,
  type RunFile,
} from '../support/installation.ts'
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

type Check = { readonly check: string; readonly ok: boolean; readonly says: string; readonly mend?: string }

async function doctorOf(stateDir: string): Promise<Check[]> {
  const env = scrubbedEnvironment({ GATEHOUSE_STATE_DIR: stateDir })
  const child = spawn(process.execPath, ['--import', 'tsx', 'workers/doctor.ts', '--json'], { cwd: root, env })
  const out = (await child.stdout.toArray()).join('')
  return (JSON.parse(out) as { checks: Check[] }).checks
}

const steer = (run: RunFile, control: object) =>
  fetch(`${run.model}/control`, { method: 'POST', body: JSON.stringify(control) })

test('a busy port is named, and the next free one taken', async () => {
  const port = Number(new URL(base).port)
  expect(port).toBeGreaterThan(wanted)
  expect(house.output()).toContain(`Port ${wanted} is busy: the API takes ${port}.`)
})

test('no serving process logs in as the owner of the database', async () => {
  await using ledger = await connectLedgerFacts((await house.run()).databaseUrl)
  const logins = await ledger.query(
    "SELECT DISTINCT usename FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
  )
  expect(logins).toEqual([{ usename: 'gatehouse_service' }])
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

test('a policy file that cannot be used is said by /ready and by doctor, and nothing else changes', async () => {
  const policy = async () => ((await (await fetch(`${base}/ready`)).json()) as { policy: string }).policy
  expect(await policy()).toBe('ok')
  await mkdir(join(house.stateDir, 'policy'), { recursive: true })
  const file = join(house.stateDir, 'policy', 'odd.yaml')
  await writeFile(file, 'policy: odd\nrules: [{}]\n')
  await until(async () => (await policy()) === 'file-refused', 3_000)
  const doctor = await doctorOf(house.stateDir)
  expect(doctor.filter(({ ok }) => !ok)).toMatchObject([
    { check: 'api', says: 'ready, with older policies (file-refused)', mend: expect.stringContaining('api-1.log') },
  ])
  await rm(file)
  await until(async () => (await policy()) === 'ok', 3_000)
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

test('the schedule of retention drops payloads whose class is over', async () => {
  const run = await house.run()
  await using ledger = await connectLedgerFacts(run.databaseUrl)
  await ledger.query(
    "INSERT INTO audit_payload SELECT gen_random_uuid(), 'old', class, '\\x00', now() - interval '100 days' FROM unnest('{30d,90d,180d}'::text[]) class",
  )
  const connection = await Connection.connect({ address: run.temporalAddress })
  try {
    await new ScheduleClient({ connection, namespace: 'gatehouse' }).getHandle('payload-retention').trigger()
    const left = () => ledger.query("SELECT retention FROM audit_payload WHERE tenant = 'old'")
    await until(async () => (await left()).length === 1, 15_000)
    expect(await left()).toEqual([{ retention: '180d' }])
  } finally {
    await connection.close()
  }
}, 60_000)

test('the schedules of the ledger settle a hold that nobody will resolve, and stop the money of a wallet whose sums are wrong', async () => {
  const run = await house.run()
  await using ledger = await connectLedgerFacts(run.databaseUrl)
  const harmed = await signIn(base)
  await harmed.json('POST', '/wallet/faucet')
  const sessionId = await harmed.openSession()
  const before = await ledger.available(harmed.address)
  const connection = await Connection.connect({ address: run.temporalAddress })
  const schedules = new ScheduleClient({ connection, namespace: 'gatehouse' })
  try {
    // As the worker's death between hold and attempt leaves it, long ago.
    const [held] = await ledger.query(
      "SELECT ledger_hold(gen_random_uuid(), id, 2, 500, 10::smallint, 'assistant', 'gone:1', '{}') AS answer FROM wallet WHERE address = $1",
      [harmed.address],
    )
    expect(held?.['answer']).toBe('ok')
    await ledger.query('ALTER TABLE transfer DISABLE TRIGGER USER')
    await ledger.query("UPDATE transfer SET at = at - interval '1 hour' WHERE workflow_id = 'gone:1'")
    await ledger.query('ALTER TABLE transfer ENABLE TRIGGER USER')
    await schedules.getHandle('hold-settlement').trigger()
    await until(async () => (await ledger.held(harmed.address)) === 0n, 15_000)
    expect(await ledger.available(harmed.address)).toBe(before)

    const harm = (by: number) =>
      ledger.query(
        `UPDATE account SET credits_posted = credits_posted + $2 WHERE code = 'user' AND wallet_id = (SELECT id FROM wallet WHERE address = $1)`,
        [harmed.address, by],
      )
    await harm(1)
    await schedules.getHandle('ledger-audit').trigger()
    const stops = () =>
      ledger.query('SELECT 1 FROM money_stop s JOIN wallet w ON w.id = s.wallet_id WHERE w.address = $1', [
        harmed.address,
      ])
    await until(async () => (await stops()).length === 1, 15_000)
    const refused = await harmed.chat({ base, sessionId, message: 'hello' })
    expect(refused.status).toBe(503)
    expect(await (await fetch(`${base}/ready`)).json()).toMatchObject({ ready: true, money: 'stopped' })
    await harm(-1)
    await ledger.query('SELECT money_resume(s.wallet_id, $1) FROM money_stop s WHERE lifted_at IS NULL', ['a test'])
    expect(lastOf(await harmed.chat({ base, sessionId, message: 'hello' })).type).toBe('done')
  } finally {
    await connection.close()
  }
}, 60_000)

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
