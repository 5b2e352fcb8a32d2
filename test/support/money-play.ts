// Random money at once, with ids that collide and one rich wallet: holds, posts, voids, limits, sessions cut in the middle
// of a call. After each batch the ledger's own check must be clean, and no limit passed.
import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import { setBudget, type BudgetKey } from '../../db/budget.ts'
import { openWallet } from '../../db/identity.ts'
import { checkLedger } from '../../gateway/ledger-audit.ts'
import { uuidV5 } from '../../crypto/uuid.ts'
import type { TestDatabase } from './database.ts'
import { connectLedgerFacts } from './ledger-facts.ts'

const id = fc.nat(4)
const wallet = fc.nat(1)
const micros = fc.constantFrom(0n, 10n, 25n, 40n)
const call = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('hold' as const), id, wallet, micros }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('post' as const), id, target: id, micros }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('void' as const), id, target: id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), id, wallet, micros }) },
)
type Call = typeof call extends fc.Arbitrary<infer Value> ? Value : never

/** Kinds of budgets that exist, each with a subject of the calls; others join by a line. */
const budgets: readonly Pick<BudgetKey, 'kind' | 'subject' | 'period'>[] = [
  { kind: 'wallet', subject: 'me', period: 'daily' },
  { kind: 'agent', subject: 'a', period: 'weekly' },
  { kind: 'session', subject: 's', period: 'total' },
]
const limitMicros = 90n
const holdSql = `SELECT ledger_hold($1, $2, 2, $3, 10::smallint, 'a', 'w', '{"sessionId":"s"}') AS answer`

/** Throws `Property failed` with the smallest sequence it found when something was created, lost or doubled. */
export async function playMoney(on: TestDatabase, { runs, seed }: { runs: number; seed: number }): Promise<void> {
  await using ledger = await connectLedgerFacts(on.url)
  const play = async (batches: readonly (readonly Call[])[], round: string) => {
    const addresses = [0, 1].map(() => `0x${randomBytes(20).toString('hex')}`)
    const wallets = await Promise.all(addresses.map((address) => openWallet(on.pool, address)))
    await ledger.fund(addresses[0] ?? '', 10_000n)
    await ledger.fund(addresses[1] ?? '', 30n)
    for (const key of budgets)
      await setBudget(on.pool, { ...key, walletId: wallets[0] ?? 0n }, { limitMicros, budgetsMax: 9 })
    const named = (kind: string, index: number) => uuidV5(`${round}:${kind}:${index}`)
    const ask = async (sql: string, values: unknown[]) =>
      String((await on.pool.query<{ answer: string }>(sql, values)).rows[0]?.answer)
    const answers: { call: Call; answer: string }[] = []
    const perform = async (each: Call): Promise<string> => {
      if (each.kind === 'cut') return cut(on, [named('hold', each.id), wallets[each.wallet], each.micros])
      if (each.kind === 'hold') return ask(holdSql, [named('hold', each.id), wallets[each.wallet], each.micros])
      const holdId = named('hold', each.target)
      if (each.kind === 'void')
        return ask("SELECT ledger_void($1, $2, 12::smallint, '{}') AS answer", [named('void', each.id), holdId])
      const values = [named('post', each.id), holdId, each.micros, named('excess', each.id)]
      return ask(`SELECT ledger_post($1, $2, $3, 10::smallint, '{"sessionId":"s"}', $4) AS answer`, values)
    }
    for (const batch of batches) {
      answers.push(...(await Promise.all(batch.map(async (each) => ({ call: each, answer: await perform(each) })))))
      if ((await checkLedger(on.pool)).faults.length > 0) return false
    }
    // An incurred cost is charged whole, by the wallet or as what it owes.
    const incurred = answers.reduce(
      (sum, { call: each, answer }) => sum + (each.kind === 'post' && answer === 'ok' ? each.micros : 0n),
      0n,
    )
    const [charged] = await ledger.query(
      "SELECT coalesce(sum(t.amount), 0) AS micros FROM transfer t JOIN account a ON a.id = t.debit WHERE a.wallet_id = ANY ($1) AND t.op IN ('post', 'posted') AND a.code <> 'onchain'",
      [wallets],
    )
    // Every call of the rich wallet is of the one agent and session: all its budgets counted the same, within the limit.
    const counted = await ledger.query(
      "SELECT DISTINCT count(*) OVER () AS many, reserved, spent, reserved <= $2 AS within FROM budget_bucket WHERE wallet_id = $1 AND day = '-infinity'",
      [wallets[0], limitMicros],
    )
    const alike = counted.length === 0 || (counted.length === 1 && Number(counted[0]?.['many']) === budgets.length)
    if (!alike || counted.some((row) => row['within'] !== true)) return false
    return BigInt(String(charged?.['micros'])) === incurred && excusable(answers)
  }
  let round = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(call, { minLength: 2, maxLength: 8 }), { minLength: 1, maxLength: 3 }),
      (given) => play(given, `${seed}:${(round += 1)}`),
    ),
    { numRuns: runs, seed, endOnFailure: true },
  )
}

// A hold with one body is taken or refused for a reason, and whoever asks with another body is told.
function excusable(answers: readonly { call: Call; answer: string }[]): boolean {
  const taken = new Map<number, string>()
  for (const { call: each, answer } of answers)
    if (each.kind === 'hold' && answer === 'ok') taken.set(each.id, `${each.wallet}:${each.micros}`)
  return answers.every(({ call: each, answer }) => {
    if (each.kind !== 'hold' || answer !== 'exists') return true
    const first = taken.get(each.id)
    return first === undefined || first === `${each.wallet}:${each.micros}`
  })
}

// The session ends between the call and its commit, as when a process dies: nothing of it stands.
async function cut(on: TestDatabase, values: unknown[]): Promise<string> {
  const client = await on.pool.connect()
  try {
    await client.query('BEGIN')
    await client.query(holdSql, values)
    await client.query('SELECT pg_terminate_backend(pg_backend_pid())')
    return 'alive'
  } catch {
    return 'cut'
  } finally {
    client.release(true)
  }
}
