// Many spends over many wallets from two processes, with a budget at each level, some spends sent by both; and the same
// with one of the processes killed. Whatever happens: nothing above a budget or a balance, and sums that are exact.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { setBudget, type BudgetKey } from '../../db/budget.ts'
import { openWallet } from '../../db/identity.ts'
import { createPool, type Pool } from '../../db/pool.ts'
import { checkLedger } from '../../gateway/ledger-audit.ts'
import { uuidV5 } from '../../crypto/uuid.ts'
import { connectLedgerFacts, type LedgerFacts } from './ledger-facts.ts'
import { scopeOf, scopesPerWallet, spendOf, type Spend } from './spend-plan.ts'
import type { SpenderOrder, Spent } from './spender.ts'

export type SpendingOptions = {
  readonly url: string
  readonly seed: number
  readonly spends: number
  readonly wallets: number
  /** Ends one of the two with SIGKILL after so many of its answers; another then does its whole share again. */
  readonly killAfter?: number
}
export type Spending = {
  /** Sentences of what did not hold; none is success. */
  readonly broken: readonly string[]
  readonly answers: Readonly<Record<string, number>>
  readonly perSecond: number
  /** Budgets that are used to the last fifth, by kind. */
  readonly tight: Readonly<Record<string, number>>
}

const atOnce = 12
const spender = fileURLToPath(new URL('./spender.ts', import.meta.url))
const budgetsMax = 20

/** Runs a plan to its end and says what was seen. */
export async function spendAtOnce(options: SpendingOptions): Promise<Spending> {
  await using ledger = await connectLedgerFacts(options.url)
  const pool = createPool({ url: options.url, connectionsMax: 4 })
  try {
    const ground = {
      ...options,
      pool,
      ledger,
      budgets: new Map<string, Budget>(),
      walletIds: await openWallets(pool, options),
    }
    await giveMoney(ground)
    const startedAt = performance.now()
    const spent = await spendInTwo(ground)
    const seconds = (performance.now() - startedAt) / 1000
    const answers: Record<string, number> = {}
    for (const { hold } of spent) answers[hold] = (answers[hold] ?? 0) + 1
    const { broken, tight } = await judge(ground, spent)
    return { broken, answers, tight, perSecond: Math.round(spent.length / seconds) }
  } finally {
    await pool.end()
  }
}

type Budget = { readonly key: BudgetKey; readonly limitMicros: bigint }
type Ground = SpendingOptions & {
  readonly pool: Pool
  readonly ledger: LedgerFacts
  readonly walletIds: readonly bigint[]
  readonly budgets: Map<string, Budget>
}
const addressOf = (seed: number, wallet: number) =>
  `0x${uuidV5(`${seed}:wallet:${wallet}`).replaceAll('-', '')}00000000`
// One level is narrow, or all of them, or the balance.
const groups = ['poor', 'all', 'wallet', 'scope', 'agent', 'session', 'reflection'] as const
const groupOf = (wallet: number) => groups[wallet % groups.length]
// A spend is 25 micro-USD on average, and half of what is held is posted: each level is narrow for some wallets.
const shareOf = { wallet: 10n, scope: 5n, agent: 4n, session: 4n, reflection: 3n } as const

async function openWallets(pool: Pool, { seed, wallets }: SpendingOptions): Promise<bigint[]> {
  const ids: bigint[] = []
  for (let wallet = 0; wallet < wallets; wallet += 1) ids.push(await openWallet(pool, addressOf(seed, wallet)))
  return ids
}

async function giveMoney({ pool, ledger, seed, spends, wallets, walletIds, budgets }: Ground): Promise<void> {
  const each = BigInt(Math.ceil(spends / wallets))
  for (const [wallet, walletId] of walletIds.entries()) {
    await ledger.fund(addressOf(seed, wallet), groupOf(wallet) === 'poor' ? each * 6n : each * 100n)
    for (let scope = 0; scope < scopesPerWallet; scope += 1)
      await ledger.query("INSERT INTO runtime_scope (id, wallet_id, name) VALUES ($1, $2, 'p')", [
        scopeOf(seed, wallet, scope),
        walletId,
      ])
    const subjects = [
      ['wallet', 'me', 'weekly'],
      ['scope', scopeOf(seed, wallet, 0), 'weekly'],
      ['agent', 'agent-0', 'monthly'],
      ['session', 'session-0', 'total'],
      ['reflection', 'me', 'total'],
    ] as const
    for (const [kind, subject, period] of subjects) {
      if (groupOf(wallet) !== kind && groupOf(wallet) !== 'all') continue
      const key = { walletId, kind, subject, period }
      const limitMicros = each * shareOf[kind]
      await setBudget(pool, key, { limitMicros, budgetsMax })
      budgets.set(`${wallet}:${kind}`, { key, limitMicros })
    }
  }
}

async function spendInTwo(ground: Ground): Promise<Spent[]> {
  const all = Array.from({ length: ground.spends }, (_, index) => index)
  const shares = [all.filter((index) => index % 20 < 11), all.filter((index) => index % 20 >= 9)] // 2 of 20 are sent by both
  const [first = [], second = []] = shares
  const spent = (await Promise.all([spend(ground, first, ground.killAfter), spend(ground, second)])).flat()
  return ground.killAfter === undefined ? spent : [...spent, ...(await spend(ground, first))]
}

async function spend(ground: Ground, indexes: readonly number[], killAfter?: number): Promise<Spent[]> {
  const { url, seed } = ground
  const order: Omit<SpenderOrder, 'indexes'> = { url, seed, walletIds: ground.walletIds.map(String), atOnce }
  const child = fork(spender, [JSON.stringify(order)], { execArgv: ['--import', 'tsx'] })
  const spent: Spent[] = []
  child.on('message', (each: Spent) => {
    spent.push(each)
    if (spent.length === killAfter) child.kill('SIGKILL')
  })
  const exited = once(child, 'exit')
  child.send(indexes)
  const [code, signal] = (await exited) as [number | null, NodeJS.Signals | null]
  const asExpected = killAfter === undefined ? code === 0 : signal === 'SIGKILL'
  if (!asExpected) throw new Error(`A spender ended with ${code ?? signal}.`)
  return spent
}

async function judge(ground: Ground, spent: readonly Spent[]): Promise<Pick<Spending, 'broken' | 'tight'>> {
  const broken: string[] = []
  const known = new Set(['ok', 'exists', 'insufficient', 'over_budget'])
  const ended = new Set([null, 'ok', 'exists'])
  for (const { index, hold, end } of spent)
    if (!known.has(hold) || !ended.has(end)) broken.push(`spend ${index} was answered ${hold}, then ${end}`)
  for (const fault of (await checkLedger(ground.pool)).faults) broken.push(`ledger: ${fault.kind} ${fault.detail}`)
  broken.push(...(await compareRows(ground, spent)))
  const [deadlocks] = await ground.ledger.query(
    'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
  )
  if (String(deadlocks?.['deadlocks']) !== '0') broken.push(`${String(deadlocks?.['deadlocks'])} deadlocks`)
  const tight = await compareBudgets(ground, broken)
  return { broken: broken.slice(0, 20), tight }
}

// The rows are what was answered, and what the plan says: each once, with its own amount and end.
async function compareRows(
  { ledger, seed, wallets, spends, walletIds }: Ground,
  spent: readonly Spent[],
): Promise<string[]> {
  const rows = await ledger.query(
    `SELECT h.id, h.amount, r.op, r.amount AS cost FROM transfer h JOIN account a ON a.id = h.debit
     LEFT JOIN transfer r ON r.pending_id = h.id WHERE h.op = 'pending' AND a.wallet_id = ANY ($1)`,
    [walletIds],
  )
  const byId = new Map(rows.map((row) => [String(row['id']), row]))
  const answered = new Map<number, string[]>()
  for (const { index, hold } of spent) answered.set(index, [...(answered.get(index) ?? []), hold])
  const broken: string[] = []
  for (let index = 0; index < spends; index += 1) {
    const plan = spendOf({ seed, wallets }, index)
    const row = byId.get(plan.holdId)
    const answers = answered.get(index) ?? []
    const given = answers.some((answer) => answer === 'ok' || answer === 'exists')
    if (given !== (row !== undefined))
      broken.push(`spend ${index} was answered ${answers.join()}, its row says otherwise`)
    if (answers.filter((answer) => answer === 'ok').length > 1) broken.push(`spend ${index} was given twice`)
    if (row && !isAsPlanned(row, plan)) broken.push(`spend ${index} is not on the books as it was sent`)
  }
  return broken
}

function isAsPlanned(row: Record<string, unknown>, { micros, cost }: Spend): boolean {
  const end = cost === undefined ? null : cost === null ? 'void' : 'post'
  return (
    BigInt(String(row['amount'])) === micros && row['op'] === end && BigInt(String(row['cost'] ?? 0)) === (cost ?? 0n)
  )
}

// What counts against a budget, from the rows in plain words.
async function compareBudgets({ ledger, budgets }: Ground, broken: string[]): Promise<Record<string, number>> {
  const tight: Record<string, number> = {}
  for (const { key, limitMicros } of budgets.values()) {
    const [row] = await ledger.query(
      `SELECT coalesce(sum(CASE WHEN r.op = 'post' THEN r.amount WHEN r.op IS NULL THEN h.amount ELSE 0 END), 0) AS used
       FROM transfer h JOIN account a ON a.id = h.debit LEFT JOIN transfer r ON r.pending_id = h.id
       WHERE a.wallet_id = $1 AND h.op = 'pending' AND CASE $2 WHEN 'wallet' THEN true WHEN 'agent' THEN h.agent_id = $3
         WHEN 'session' THEN h.meta->>'sessionId' = $3 WHEN 'scope' THEN h.meta->>'scopeId' = $3 ELSE h.meta->>'reflection' = 'true' END`,
      [key.walletId, key.kind, key.subject],
    )
    const used = BigInt(String(row?.['used']))
    if (used > limitMicros) broken.push(`${key.kind} ${key.subject}: ${used} used of ${limitMicros}`)
    if (used * 5n >= limitMicros * 4n) tight[key.kind] = (tight[key.kind] ?? 0) + 1
  }
  return tight
}
