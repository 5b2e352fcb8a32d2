// Charges per second (hold, then post) on 1,000 wallets and on one, each wallet with a daily budget: the bare SQL functions
// in a loop, the ledger's own calls through the pool, and whole attempts with gate, row, audit intent and outcome. The
// three alternate in one run; CPU is that of this process per charge.
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beginAttempt, endAttempt } from '../db/attempt.ts'
import { setBudget } from '../db/budget.ts'
import { openWallet } from '../db/identity.ts'
import { migrate } from '../db/migrate.ts'
import { createPool, type Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { postHold } from '../db/turn-step.ts'
import { checkLedger } from '../gateway/ledger-audit.ts'
import type { AuditIntent } from '../schemas/audit.ts'
import { connectLedgerFacts } from '../test/support/ledger-facts.ts'
import { removePostgresHome } from '../workers/local/postgres-files.ts'
import { startPostgres } from '../workers/local/postgres.ts'

const atOnce = 16
const sliceMs = Number(process.argv[2] ?? 2_500)
const rounds = 3

type Charge = (pool: Pool, walletId: bigint) => Promise<void>
const must = (answer: string | undefined) => {
  if (answer !== 'ok') throw new Error(`The ledger answered ${answer}.`)
}
const holdText = "SELECT ledger_hold($1, $2, 2, 50, 10::smallint, 'a', 'w', '{}') AS answer"
const postText = "SELECT ledger_post($1, $2, 20, 10::smallint, '{}', $3) AS answer"
const hold = async (pool: Pool, walletId: bigint) => {
  const id = randomUUID()
  const query = { name: 'bench-hold', text: holdText, values: [id, walletId] }
  must((await pool.query<{ answer: string }>(query)).rows[0]?.answer)
  return id
}

const bare: Charge = async (pool, walletId) => {
  const id = await hold(pool, walletId)
  const query = { name: 'bench-post', text: postText, values: [randomUUID(), id, randomUUID()] }
  must((await pool.query<{ answer: string }>(query)).rows[0]?.answer)
}
const ends = (holdId: string) => ({
  postId: randomUUID(),
  holdId,
  excessId: randomUUID(),
  amountMicros: 20n,
  code: 10,
  meta: { turnId: holdId, model: 'scripted-1', picos: '20000000' },
})
const ledgerCalls: Charge = async (pool, walletId) => {
  const id = await hold(pool, walletId)
  await inTransaction(pool, async (client) => must(await postHold(client, ends(id))))
}
const intent = JSON.parse(JSON.stringify({ action: 'model.call', text: 'x'.repeat(900) })) as AuditIntent
const attempts: Charge = async (pool, walletId) => {
  const [id, holdId] = [randomUUID(), randomUUID()]
  const answer = await beginAttempt(pool, {
    id,
    kind: 'model',
    effectKey: id,
    tenant: 'bench',
    walletId,
    gate: [
      { scope: 'global', epoch: 0 },
      { scope: `wallet:${walletId}`, epoch: 0 },
    ],
    hold: { id: holdId, revenue: 2, amountMicros: 50n, code: 10, agentId: 'a', workflowId: 'w', meta: {} },
    intent,
  })
  must(answer.kind)
  await inTransaction(pool, async (client) => {
    must(await postHold(client, ends(holdId)))
    await endAttempt(client, { id, outcome: 'ok', usage: { inputTokens: 10 } })
  })
}

type Seen = { charges: number; ms: number; cpuMs: number; taken: number[] }

async function slice(pool: Pool, wallets: readonly bigint[], charge: Charge): Promise<Seen> {
  const seen: Seen = { charges: 0, ms: 0, cpuMs: 0, taken: [] }
  const [startedAt, before] = [performance.now(), process.cpuUsage()]
  const loop = async () => {
    while (performance.now() - startedAt < sliceMs) {
      const at = performance.now()
      await charge(pool, wallets[Math.floor(Math.random() * wallets.length)] ?? 0n)
      seen.taken.push(performance.now() - at)
      seen.charges += 1
    }
  }
  await Promise.all(Array.from({ length: atOnce }, loop))
  const { user, system } = process.cpuUsage(before)
  return { ...seen, ms: performance.now() - startedAt, cpuMs: (user + system) / 1000 }
}

const stateDir = await mkdtemp(join(tmpdir(), 'gatehouse-bench-'))
const server = await startPostgres({ stateDir })
await migrate(server.url)
const pool = createPool({ url: server.url, connectionsMax: atOnce })
const wallets: bigint[] = []
{
  await using ledger = await connectLedgerFacts(server.url)
  for (let n = 0; n < 1_000; n += 1) {
    const address = `0x${n.toString(16).padStart(40, '0')}`
    const walletId = await openWallet(pool, address)
    await ledger.fund(address, 1_000_000_000n)
    const key = { walletId, kind: 'wallet', subject: 'me', period: 'daily' } as const
    await setBudget(pool, key, { limitMicros: 1_000_000_000n, budgetsMax: 9 })
    wallets.push(walletId)
  }
}
const variants = { 'bare SQL functions': bare, 'ledger calls': ledgerCalls, 'whole attempts': attempts }
const nothing = (): Seen => ({ charges: 0, ms: 0, cpuMs: 0, taken: [] })

async function compare(among: readonly bigint[]): Promise<[string, Seen][]> {
  const all: [string, Seen][] = []
  for (const [name, charge] of Object.entries(variants)) {
    await slice(pool, among, charge) // a warm-up
    all.push([name, nothing()])
  }
  for (let round = 0; round < rounds * all.length; round += 1) {
    const [name, sum] = all[round % all.length] ?? ['', nothing()]
    const seen = await slice(pool, among, variants[name as keyof typeof variants])
    sum.charges += seen.charges
    sum.ms += seen.ms
    sum.cpuMs += seen.cpuMs
    sum.taken.push(...seen.taken)
  }
  return all
}

for (const [where, among] of [
  ['1,000 wallets', wallets],
  ['one wallet', wallets.slice(0, 1)],
] as const) {
  const all = await compare(among)
  const rate = ({ charges, ms }: Seen) => (charges / ms) * 1000
  const floor = rate(all[0]?.[1] ?? nothing())
  for (const [name, seen] of all) {
    const sorted = seen.taken.toSorted((a, b) => a - b)
    const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN).toFixed(1)
    process.stdout.write(
      `${where.padEnd(14)} ${name.padEnd(20)} ${rate(seen).toFixed(0).padStart(6)}/s  ${(rate(seen) / floor).toFixed(2)} × control  p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  CPU ${(seen.cpuMs / seen.charges).toFixed(2)} ms\n`,
    )
  }
}
const { faults } = await checkLedger(pool)
process.stdout.write(`faults of the ledger afterwards: ${faults.length}\n`)
await pool.end()
await server.stop()
await removePostgresHome(stateDir)
await rm(stateDir, { recursive: true, force: true })
