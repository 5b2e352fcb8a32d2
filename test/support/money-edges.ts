// The edges that random batches of one moment cannot reach: windows of days, midnight, the exact limit, a charge of zero,
// one call that is sent eight times at once. Each is compared with plain arithmetic.
import fc from 'fast-check'
import { randomBytes, randomUUID } from 'node:crypto'
import { setBudget } from '../../db/budget.ts'
import { openWallet } from '../../db/identity.ts'
import type { TestDatabase } from './database.ts'
import { connectLedgerFacts, type LedgerFacts } from './ledger-facts.ts'

type Ground = { readonly on: TestDatabase; readonly ledger: LedgerFacts }
const windowDays = { daily: 1, weekly: 7, monthly: 30, total: Number.POSITIVE_INFINITY } as const
const periods = Object.keys(windowDays) as (keyof typeof windowDays)[]
const holdSql = "SELECT ledger_hold($1, $2, 2, $3, 10::smallint, 'a', 'w', '{}') AS answer"
const postSql = "SELECT ledger_post($1, $2, $3, 10::smallint, '{}', $4) AS answer"

/** Throws `Property failed` with the smallest case it found. Leaves buckets without transfers behind. */
export async function playEdges(on: TestDatabase, { runs, seed }: { runs: number; seed: number }): Promise<void> {
  await using ledger = await connectLedgerFacts(on.url)
  const ground = { on, ledger }
  const check = <T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => Promise<boolean>, numRuns = runs) =>
    fc.assert(fc.asyncProperty(arbitrary, holds), { numRuns, seed, endOnFailure: true })
  const daysAgo = fc.constantFrom(0, 1, 5, 6, 7, 8, 28, 29, 30, 31)
  const day = fc.record({ daysAgo, spent: fc.nat(3), reserved: fc.nat(2) })
  const history = fc.uniqueArray(day, { maxLength: 5, selector: (each) => each.daysAgo })
  const window = fc.record({ history, period: fc.constantFrom(...periods), left: fc.constantFrom(0n, 1n, 5n) })
  await check(window, (value) => sumsWindow(ground, value))
  await check(fc.record({ held: fc.nat(9), cost: fc.nat(9) }), (value) => keepsDayOfHold(ground, value), 4)
  await check(fc.constantFrom(0n, 3n), (held) => writesZero(ground, held), 2)
  await check(fc.constantFrom(1n, 700n), (micros) => isOnceAtOnce(ground, micros), 12)
}

type Day = { readonly daysAgo: number; readonly spent: number; readonly reserved: number }
type Window = { readonly history: readonly Day[]; readonly period: (typeof periods)[number]; readonly left: bigint }

// What is left of a limit may be held, and not one micro-USD more.
async function sumsWindow({ on, ledger }: Ground, { history, period, left }: Window): Promise<boolean> {
  const walletId = await fundedWallet({ on, ledger }, 10_000n)
  const sum = (days: readonly Day[]) => days.reduce((all, { spent, reserved }) => all + BigInt(spent + reserved), 0n)
  const used = sum(history.filter(({ daysAgo }) => daysAgo < windowDays[period]))
  const key = { walletId, kind: 'wallet', subject: 'me', period } as const
  await setBudget(on.pool, key, { limitMicros: used + left, budgetsMax: 1 })
  const buckets = [
    ...history.map((each) => ({ ...each, day: `-${each.daysAgo}` })),
    { day: null, spent: Number(sum(history)), reserved: 0 },
  ]
  await ledger.query(
    `INSERT INTO budget_bucket (wallet_id, kind, subject, day, reserved, spent)
     SELECT $1, 'wallet', 'me', coalesce(utc_day(clock_timestamp()) + day, '-infinity'), reserved, spent
     FROM unnest($2::int[], $3::bigint[], $4::bigint[]) d(day, reserved, spent)`,
    [
      walletId,
      buckets.map(({ day }) => day),
      buckets.map(({ reserved }) => reserved),
      buckets.map(({ spent }) => spent),
    ],
  )
  const above = await ask(on, holdSql, [randomUUID(), walletId, left + 1n])
  const exactly = await ask(on, holdSql, [randomUUID(), walletId, left])
  return above === 'over_budget' && exactly === 'ok'
}

// A hold of yesterday is given back and posted on yesterday's account.
async function keepsDayOfHold(
  { on, ledger }: Ground,
  { held, cost }: { held: number; cost: number },
): Promise<boolean> {
  const walletId = await fundedWallet({ on, ledger }, 10_000n)
  const key = { walletId, kind: 'wallet', subject: 'me', period: 'daily' } as const
  await setBudget(on.pool, key, { limitMicros: 1_000n, budgetsMax: 1 })
  const holdId = randomUUID()
  await ask(on, holdSql, [holdId, walletId, held])
  await ledger.query('ALTER TABLE transfer DISABLE TRIGGER USER')
  await ledger.query("UPDATE transfer SET at = at - interval '1 day' WHERE id = $1", [holdId])
  await ledger.query('ALTER TABLE transfer ENABLE TRIGGER USER')
  await ledger.query("UPDATE budget_bucket SET day = day - 1 WHERE wallet_id = $1 AND day <> '-infinity'", [walletId])
  await ask(on, postSql, [randomUUID(), holdId, cost, randomUUID()])
  const rows = await ledger.query(
    `SELECT utc_day(clock_timestamp()) - day AS ago, reserved::int, spent::int FROM budget_bucket
     WHERE wallet_id = $1 AND day <> '-infinity' AND (reserved <> 0 OR spent <> 0)`,
    [walletId],
  )
  return JSON.stringify(rows) === JSON.stringify(cost === 0 ? [] : [{ ago: 1, reserved: 0, spent: cost }])
}

// A posting of nothing is a row all the same: whoever asks again is told that it was done.
async function writesZero({ on, ledger }: Ground, held: bigint): Promise<boolean> {
  const walletId = await fundedWallet({ on, ledger }, 10n)
  const [holdId, id] = [randomUUID(), randomUUID()]
  await ask(on, holdSql, [holdId, walletId, held])
  const answers = [0, 1].map(() => () => ask(on, postSql, [id, holdId, 0n, randomUUID()]))
  const [first, second] = [await answers[0]?.(), await answers[1]?.()]
  const [row] = await ledger.query('SELECT amount::int FROM transfer WHERE id = $1', [id])
  return first === 'ok' && second === 'exists' && row?.['amount'] === 0
}

// One call, eight times at once, on a wallet that can pay once: one hold, and nobody is refused what was given.
async function isOnceAtOnce(ground: Ground, micros: bigint): Promise<boolean> {
  const values = [randomUUID(), await fundedWallet(ground, micros), micros]
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask(ground.on, holdSql, values)))
  return (
    answers.toSorted().join() === ['exists', 'exists', 'exists', 'exists', 'exists', 'exists', 'exists', 'ok'].join()
  )
}

async function fundedWallet({ on, ledger }: Ground, micros: bigint): Promise<bigint> {
  const address = `0x${randomBytes(20).toString('hex')}`
  const walletId = await openWallet(on.pool, address)
  await ledger.fund(address, micros)
  return walletId
}

async function ask(on: TestDatabase, sql: string, values: unknown[]): Promise<string> {
  return String((await on.pool.query<{ answer: string }>(sql, values)).rows[0]?.answer)
}
