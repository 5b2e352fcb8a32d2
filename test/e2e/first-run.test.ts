// What a person does in the first five minutes, with real processes all the way: start, sign in, chat with a real MCP
// tool, look at the bill, check the evidence, stop, start again.
import { execFile } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Connection, Client } from '@temporalio/client'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sessionWorkflowId } from '../../workflows/contract.ts'
import { isAlive, scrubbedEnvironment, startInstallation, until, type Installation } from '../support/installation.ts'
import { contend } from '../support/contention.ts'
import { lastOf, signIn, textOf, type Person } from '../support/person.ts'

let house: Installation
let base: string
let person: Person

const journal = async () => {
  const { calls } = (await (await fetch((await house.run()).tools.replace('/mcp', '/journal'))).json()) as {
    calls: { tool: string; args: unknown }[]
  }
  return calls
}

const random = () => 100 + Math.floor(Math.random() * 900)

beforeAll(async () => {
  house = await startInstallation({ args: ['--api', '2', '--durable', '2'] })
  base = (await house.run()).api[0] ?? ''
  person = await signIn(base)
  await person.json('POST', '/wallet/faucet')
}, 120_000)

afterAll(async () => {
  await house[Symbol.asyncDispose]()
}, 30_000)

test('run.json is private, names two replicas of each kind, and the printed block has no database URL', async () => {
  const run = await house.run()
  expect(statSync(join(house.stateDir, 'run.json')).mode & 0o777).toBe(0o600)
  expect(run.api).toHaveLength(2)
  expect(run.pids.durable).toHaveLength(2)
  expect(run.demo.map((identity) => identity.name)).toEqual(['maintainer', 'reviewer', 'agent-owner'])
  expect(house.output()).not.toContain(run.databaseUrl)
  expect(house.output()).toContain(run.temporalUi)
})

test('a person signs in with the command line, chats, and the balance falls by exactly the printed cost', async () => {
  const [a, b] = [random(), random()]
  const login = await house.cli(['login', '--new'])
  expect(login).toMatchObject({ code: 0 })
  expect(login.out).toContain('play money')
  const before = JSON.parse((await house.cli(['wallet', 'balance', '--json'])).out) as { availableBalance: string }
  const chat = await house.cli(['chat', 'assistant', `add ${a} and ${b} with the tool`])
  expect(chat).toMatchObject({ code: 0 })
  expect(chat.out).toContain(String(a + b))
  expect(chat.out).toContain('get-sum')
  const after = JSON.parse((await house.cli(['wallet', 'balance', '--json'])).out) as { availableBalance: string }
  const spent = BigInt(before.availableBalance) - BigInt(after.availableBalance)
  expect(spent).toBeGreaterThan(0n)
  const transactions = JSON.parse((await house.cli(['wallet', 'transactions', '--json'])).out) as {
    transactions: { type: string; amount: string }[]
  }
  const sum = transactions.transactions
    .filter((row) => row.type === 'spend')
    .reduce((all, row) => all + BigInt(row.amount), 0n)
  expect(sum < 0n ? -sum : sum).toBe(spent)
  expect(chat.out).toContain(`$${(Number(spent) / 1e6).toFixed(6).replace(/0{1,4}$/, '')}`)
})

test("the tool server's own journal shows the call that the model asked for", async () => {
  const [a, b] = [random(), random()]
  const sessionId = await person.openSession()
  const reply = await person.chat({ base, sessionId, message: `add ${a} and ${b} with the workbench` })
  expect(textOf(reply)).toContain(String(a + b))
  expect(lastOf(reply)).toMatchObject({ type: 'done', data: { toolCallCount: 1 } })
  expect(await journal()).toContainEqual(expect.objectContaining({ tool: 'get_sum', args: { a, b } }))
})

test('a write asked for by an agent is refused with the rule, and the tool server never hears of it', async () => {
  const sessionId = await person.openSession()
  const reply = await person.chat({ base, sessionId, message: 'write a note called plan that says hello' })
  const result = reply.events.find((event) => event.type === 'tool_result')
  expect(JSON.stringify(result?.data)).toContain('approval-required')
  expect((await journal()).filter((call) => call.tool === 'write_note')).toEqual([])
  expect(lastOf(reply).type).toBe('done')
})

test('the transcript, the transactions and the evidence agree, on the other replica too', async () => {
  const other = (await house.run()).api[1] ?? ''
  const sessionId = await person.openSession()
  const before = await person.balance()
  const reply = await person.chat({ base: other, sessionId, message: 'hello there' })
  const cost = BigInt(String(lastOf(reply).data['costRaw']))
  expect(before - (await person.balance())).toBe(cost)
  const session = await person.json('GET', `/agents/assistant/sessions/${sessionId}`)
  expect(JSON.stringify(session['messages'])).toContain('hello there')
  const verified = await promisify(execFile)(process.execPath, ['--import', 'tsx', 'workers/audit-verify.ts'], {
    env: scrubbedEnvironment({ GATEHOUSE_STATE_DIR: house.stateDir }),
  })
  expect(verified.stdout).toMatch(/ok|green|verified/i)
})

test('doctor finds nothing wrong while it runs, and says so to programs', async () => {
  const env = scrubbedEnvironment({ GATEHOUSE_STATE_DIR: house.stateDir })
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', 'workers/doctor.ts', '--json'], {
    env,
  })
  expect((JSON.parse(stdout) as { checks: { ok: boolean }[] }).checks.filter((check) => !check.ok)).toEqual([])
})

test('an operator gets a sign-in link from the command line, and it opens a browser session', async () => {
  const run = await house.run()
  expect(await house.cli(['login', '--identity', 'maintainer'], 'operator')).toMatchObject({ code: 0 })
  const link = await house.cli(['link', '--json'], 'operator')
  expect(link).toMatchObject({ code: 0 })
  const opened = await fetch((JSON.parse(link.out) as { url: string }).url, { redirect: 'manual' })
  expect([opened.status, opened.headers.get('location')]).toEqual([302, run.temporalUi])
  expect(opened.headers.get('set-cookie')).toMatch(/^__Host-gatehouse=.*HttpOnly/)
})

test('raw workflow history is ciphertext', async () => {
  const run = await house.run()
  const sessionId = await person.openSession()
  await person.chat({ base, sessionId, message: 'a sentence that must not be read' })
  const connection = await Connection.connect({ address: run.temporalAddress })
  try {
    const client = new Client({ connection, namespace: 'gatehouse' })
    const history = await client.workflow.getHandle(sessionWorkflowId(sessionId)).fetchHistory()
    const text = JSON.stringify(history)
    expect(text).not.toContain(Buffer.from(sessionId).toString('base64').slice(0, 30))
    expect(text).toContain(Buffer.from('binary/encrypted').toString('base64').slice(0, 16))
  } finally {
    await connection.close()
  }
})

test('with money for 8 of 24 requests exactly 8 reach the model, and the others are refused before it', async () => {
  const seen = await contend(await house.run(), { requests: 24, affordable: 8 })
  expect(seen).toEqual({ answered: 8, refused: 16, reached: 8, left: 0n, faults: 0 })
}, 90_000)

test('no hold is left when nothing runs, and all accounts balance', async () => {
  const database = new pg.Client({ connectionString: (await house.run()).databaseUrl })
  await database.connect()
  try {
    await until(async () => {
      const { rows } = await database.query('SELECT coalesce(sum(debits_pending), 0) AS held FROM account')
      return String(rows[0].held) === '0'
    }, 10_000)
    const { rows } = await database.query(
      `SELECT a.id FROM account a WHERE projected AND (a.debits_posted <> (SELECT coalesce(sum(amount), 0) FROM transfer t WHERE t.debit = a.id AND op IN ('posted', 'post'))
        OR a.credits_posted <> (SELECT coalesce(sum(amount), 0) FROM transfer t WHERE t.credit = a.id AND op IN ('posted', 'post')))`,
    )
    expect(rows).toEqual([])
  } finally {
    await database.end()
  }
})

test('an interrupt stops everything within ten seconds, and a second start is ready with all data', async () => {
  const before = await house.run()
  const balance = await person.balance()
  const pids = [
    before.pids.postgres,
    before.pids.temporal,
    before.pids.model,
    ...before.pids.api,
    ...before.pids.durable,
  ]
  const startedAt = performance.now()
  expect((await house.interrupt()).code).toBe(0)
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  expect(pids.filter(isAlive)).toEqual([])
  expect(existsSync(join(house.stateDir, 'run.json'))).toBe(false)
  house = await startInstallation({ stateDir: house.stateDir, port: house.port })
  const again = (await house.run()).api[0] ?? ''
  const reply = await fetch(`${again}/wallet/balance`, { headers: { authorization: `Bearer ${person.token}` } })
  expect(BigInt(String(((await reply.json()) as Record<string, unknown>)['availableBalance']))).toBe(balance)
}, 90_000)
