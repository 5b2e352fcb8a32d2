// Budgets of a wallet: limits and what counts against them. Written by functions only; holds obey them in SQL.
import type { Queryable } from './pool.ts'

export type BudgetKey = {
  readonly walletId: bigint
  readonly kind: 'wallet' | 'scope' | 'agent' | 'session' | 'reflection'
  readonly subject: string
  readonly period: 'daily' | 'weekly' | 'monthly' | 'total'
}

export type BudgetRow = Omit<BudgetKey, 'walletId'> & {
  readonly limitMicros: bigint
  readonly spentMicros: bigint
  readonly reservedMicros: bigint
}

/** What must be left of a balance after a hold: the wallet's own setting, else what the policy says. */
export async function readMinimumBalance(
  queryable: Queryable,
  order: { walletId: bigint; policyMicros: bigint },
): Promise<bigint> {
  const { rows } = await queryable.query<{ least: bigint }>('SELECT minimum_balance($1, $2) AS least', [
    order.walletId,
    JSON.stringify({ minimumMicros: order.policyMicros.toString() }),
  ])
  return rows[0]?.least ?? 0n
}

/** Whether a chat session is open and belongs to the wallet. */
export async function ownsSession(queryable: Queryable, walletId: bigint, sessionId: string): Promise<boolean> {
  const { rowCount } = await queryable.query(
    "SELECT 1 FROM chat_session WHERE id = $1 AND wallet_id = $2 AND state = 'open'",
    [sessionId, walletId],
  )
  return rowCount === 1
}

/** Every budget of a wallet with what counts now. */
export async function listBudgets(queryable: Queryable, walletId: bigint): Promise<BudgetRow[]> {
  const { rows } = await queryable.query<BudgetRow>(
    `SELECT b.kind, b.subject, b.period, b.limit_micros AS "limitMicros", u.spent AS "spentMicros", u.reserved AS "reservedMicros"
     FROM budget b CROSS JOIN LATERAL budget_used(b.wallet_id, b.kind, b.subject, b.period) u WHERE b.wallet_id = $1
     ORDER BY b.kind, b.subject, array_position(ARRAY['daily', 'weekly', 'monthly', 'total'], b.period)`,
    [walletId],
  )
  return rows
}

/** Sets a limit; false when the wallet has `budgetsMax` of them already. */
export async function setBudget(
  queryable: Queryable,
  { walletId, kind, subject, period }: BudgetKey,
  { limitMicros, budgetsMax }: { limitMicros: bigint; budgetsMax: number },
): Promise<boolean> {
  const { rows } = await queryable.query<{ answer: string }>('SELECT budget_set($1, $2, $3, $4, $5, $6) AS answer', [
    walletId,
    kind,
    subject,
    period,
    limitMicros,
    budgetsMax,
  ])
  return rows[0]?.answer === 'ok'
}

/** Removes a limit; false when there was none. */
export async function dropBudget(queryable: Queryable, key: BudgetKey): Promise<boolean> {
  const { rows } = await queryable.query<{ dropped: boolean }>('SELECT budget_drop($1, $2, $3, $4) AS dropped', [
    key.walletId,
    key.kind,
    key.subject,
    key.period,
  ])
  return rows[0]?.dropped === true
}

/** What a hold is counted for besides its wallet and agent: members of its meta. */
export type SpendingNames = {
  readonly sessionId?: string
  readonly scopeId?: string | undefined
  readonly reflection?: true
}

export type Spending = {
  readonly walletId: bigint
  readonly agentId: string
  readonly names: SpendingNames
  readonly amountMicros: bigint
}

/** The first budget that another amount would pass; undefined when all cover it. */
export async function budgetOver(queryable: Queryable, spending: Spending): Promise<BudgetRow | undefined> {
  type Over = {
    kind: BudgetKey['kind']
    subject: string
    period: BudgetKey['period']
    limit: string
    spent: string
    reserved: string
  }
  const { rows } = await queryable.query<{ over: Over | null }>('SELECT budget_over($1, $2, $3, $4) AS over', [
    spending.walletId,
    spending.agentId,
    JSON.stringify(spending.names),
    spending.amountMicros,
  ])
  const over = rows[0]?.over
  if (!over) return undefined
  const { limit, spent, reserved, ...key } = over
  return { ...key, limitMicros: BigInt(limit), spentMicros: BigInt(spent), reservedMicros: BigInt(reserved) }
}
