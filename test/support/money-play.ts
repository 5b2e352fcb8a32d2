// Random money at once, with ids that collide and one rich wallet: holds, posts, voids, limits that are changed, removed
// and set again, sessions cut in the middle of a call. After each batch the ledger's own check must be clean, and no limit
// passed.
import fc from 'fast-check'
import { randomBytes, randomUUID } from 'node:crypto'
import { dropBudget, listBudgets, setBudget, type BudgetKey } from '../../db/budget.ts'
import { openWallet } from '../../db/identity.ts'
import { checkLedger } from '../../gateway/ledger-audit.ts'
import { uuidV5 } from '../../crypto/uuid.ts'
import type { TestDatabase } from './database.ts'
import { connectLedgerFacts, type LedgerFacts } from './ledger-facts.ts'

const id = fc.nat(2) // few, so that they collide
const wallet = fc.nat(1)
const micros = fc.constantFrom(0n, 10n, 25n, 40n)
const money = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('hold' as const), id, wallet, micros }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('post' as const), id, target: id, micros }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('void' as const), id, target: id }) },
  // The same posting again, of the same or of another cost.
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('post' as const), id: fc.constant(0), target: fc.constant(0), micros }),
  },
)
type Money = typeof money extends fc.Arbitrary<infer Value> ? Value : never
const call = fc.oneof(
  { weight: 9, arbitrary: money },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), money }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('reset' as const),
      budget: fc.nat(3),
      to: fc.constantFrom(null, 0n, 60n),
    }),
  },
)
type Call = typeof call extends fc.Arbitrary<infer Value> ? Value : never
type Answered = { readonly call: Call; readonly answer: string }
type Play = {
  readonly on: TestDatabase
  readonly round: string
  readonly wallets: readonly bigint[]
  readonly scopes: readonly string[]
}

const limitMicros = 90n
const leastMicros = 45n // two holds of 25 pass it
const budgetsMax = 9

// One budget of each kind, each covering every call of the rich wallet. The last one is never changed.
const budgetsOf = ({ wallets, scopes }: Play): BudgetKey[] =>
  (
    [
      ['wallet', 'me', 'daily'],
      ['agent', 'a', 'weekly'],
      ['scope', scopes[0] ?? '', 'monthly'],
      ['reflection', 'me', 'daily'],
      ['session', 's', 'total'],
    ] as const
  ).map(([kind, subject, period]) => ({ walletId: wallets[0] ?? 0n, kind, subject, period }))

/** Throws `Property failed` with the smallest sequence it found when something was created, lost or doubled. */
export async function playMoney(on: TestDatabase, { runs, seed }: { runs: number; seed: number }): Promise<void> {
  await using ledger = await connectLedgerFacts(on.url)
  let round = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(call, { minLength: 2, maxLength: 8 }), { minLength: 1, maxLength: 3 }),
      async (batches) => {
        const wrong = await playRound(ledger, { on, round: `${seed}:${(round += 1)}`, batches })
        if (wrong !== null) throw new Error(wrong)
      },
    ),
    { numRuns: runs, seed, endOnFailure: true },
  )
}

type Round = { readonly on: TestDatabase; readonly round: string; readonly batches: readonly (readonly Call[])[] }

// What did not hold; null when all did.
async function playRound(ledger: LedgerFacts, { on, round, batches }: Round): Promise<string | null> {
  const addresses = [0, 1].map(() => `0x${randomBytes(20).toString('hex')}`)
  const wallets = await Promise.all(addresses.map((address) => openWallet(on.pool, address)))
  const scopes = wallets.map(() => randomUUID())
  await ledger.query(
    "INSERT INTO runtime_scope (id, wallet_id, name) SELECT id, wallet_id, 'p' FROM unnest($1::uuid[], $2::bigint[]) s(id, wallet_id)",
    [scopes, wallets],
  )
  await ledger.fund(addresses[0] ?? '', 10_000n)
  await ledger.fund(addresses[1] ?? '', 30n)
  const play: Play = { on, round, wallets, scopes }
  for (const key of budgetsOf(play))
    await setBudget(on.pool, key, { limitMicros: key.kind === 'session' ? leastMicros : limitMicros, budgetsMax })
  const answers: Answered[] = []
  for (const batch of batches) {
    answers.push(...(await Promise.all(batch.map(async (each) => ({ call: each, answer: await perform(play, each) })))))
    const [fault] = (await checkLedger(on.pool)).faults
    if (fault) return `the ledger has a fault: ${fault.kind} ${fault.detail}`
  }
  if (!excusable(answers)) return 'what has another body was called the same'
  if (!(await isCharged(ledger, play, answers))) return 'what was charged is not what was incurred'
  return (await isCounted(ledger, play)) ? null : 'the budgets do not count the same'
}

async function perform(play: Play, each: Call): Promise<string> {
  if (each.kind === 'reset') {
    const key = budgetsOf(play)[each.budget]
    if (key === undefined) return 'none'
    const { pool } = play.on
    return String(
      await (each.to === null ? dropBudget(pool, key) : setBudget(pool, key, { limitMicros: each.to, budgetsMax })),
    )
  }
  if (each.kind === 'cut') return cut(play.on, statement(play, each.money))
  const { text, values } = statement(play, each)
  return String((await play.on.pool.query<{ answer: string }>(text, values)).rows[0]?.answer)
}

function statement({ round, wallets, scopes }: Play, each: Money): { text: string; values: unknown[] } {
  const named = (kind: string, index: number) => uuidV5(`${round}:${kind}:${index}`)
  if (each.kind === 'hold') {
    const meta = { sessionId: 's', scopeId: scopes[each.wallet], reflection: true }
    const text = "SELECT ledger_hold($1, $2, 2, $3, 10::smallint, 'a', 'w', $4) AS answer"
    return { text, values: [named('hold', each.id), wallets[each.wallet], each.micros, JSON.stringify(meta)] }
  }
  const holdId = named('hold', each.target)
  if (each.kind === 'void')
    return {
      text: "SELECT ledger_void($1, $2, 12::smallint, '{}') AS answer",
      values: [named('void', each.id), holdId],
    }
  const text = `SELECT ledger_post($1, $2, $3, 10::smallint, '{"sessionId":"s"}', $4) AS answer`
  return { text, values: [named('post', each.id), holdId, each.micros, named('excess', each.id)] }
}

// An incurred cost is charged whole, by the wallet or as what it owes.
async function isCharged(ledger: LedgerFacts, { wallets }: Play, answers: readonly Answered[]): Promise<boolean> {
  const incurred = answers.reduce(
    (sum, { call: each, answer }) => sum + (each.kind === 'post' && answer === 'ok' ? each.micros : 0n),
    0n,
  )
  const [charged] = await ledger.query(
    "SELECT coalesce(sum(t.amount), 0) AS micros FROM transfer t JOIN account a ON a.id = t.debit WHERE a.wallet_id = ANY ($1) AND t.op IN ('post', 'posted') AND a.code <> 'onchain'",
    [wallets],
  )
  return BigInt(String(charged?.['micros'])) === incurred
}

// Every call of the rich wallet is of one agent, session and scope: all its budgets that exist counted the same, also those
// that were set anew, and what is reserved is within the one that never changed.
async function isCounted(ledger: LedgerFacts, play: Play): Promise<boolean> {
  const counted = await ledger.query(
    "SELECT DISTINCT count(*) OVER () AS many, reserved, spent, reserved <= $2 AS within FROM budget_bucket WHERE wallet_id = $1 AND day = '-infinity'",
    [play.wallets[0], leastMicros],
  )
  if (counted.length === 0) return true
  const exist = (await listBudgets(play.on.pool, play.wallets[0] ?? 0n)).length
  return counted.length === 1 && Number(counted[0]?.['many']) === exist && counted[0]?.['within'] === true
}

// What is done has one body: whoever asks again with another is told.
function excusable(answers: readonly Answered[]): boolean {
  const keyOf = ({ kind, id: index }: Money) => `${kind}:${index}`
  const bodyOf = (each: Money) =>
    each.kind === 'hold'
      ? `${each.wallet}:${each.micros}`
      : each.kind === 'post'
        ? `${each.target}:${each.micros}`
        : `${each.target}`
  const done = new Map<string, string>()
  const sent = answers.flatMap(({ call: each, answer }) =>
    each.kind === 'reset' || each.kind === 'cut' ? [] : [{ each, answer }],
  )
  for (const { each, answer } of sent) if (answer === 'ok') done.set(keyOf(each), bodyOf(each))
  return sent.every(({ each, answer }) => answer !== 'exists' || done.get(keyOf(each)) === bodyOf(each))
}

// The session ends between the call and its commit, as when a process dies: nothing of it stands.
async function cut(on: TestDatabase, { text, values }: { text: string; values: unknown[] }): Promise<string> {
  const client = await on.pool.connect()
  try {
    await client.query('BEGIN')
    await client.query(text, values)
    await client.query('SELECT pg_terminate_backend(pg_backend_pid())')
    return 'alive'
  } catch {
    return 'cut'
  } finally {
    client.release(true)
  }
}
