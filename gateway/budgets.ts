// Budgets as their wallet's owner sets and reads them. Holds obey them in the ledger's own call; this only speaks of them.
import {
  budgetOver,
  dropBudget,
  listBudgets,
  ownsSession,
  setBudget,
  type BudgetKey,
  type BudgetRow,
  type Spending,
} from '../db/budget.ts'
import type { Pool, Queryable } from '../db/pool.ts'
import { readScopeLimits } from '../db/runtime-scope.ts'
import { GatewayError } from '../domain/errors.ts'
import { budgetsPerWalletMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import type { Budget } from '../schemas/budget.ts'
import type { AgentCatalogue } from './agents.ts'
import type { Clock } from './ports.ts'

export type BudgetDeps = {
  readonly pool: Pool
  readonly clock: Clock
  readonly catalogue: AgentCatalogue
}

type Subject = { readonly kind: BudgetKey['kind']; readonly id: string }

export async function budgetsOf({ pool, clock }: BudgetDeps, { walletId }: Principal): Promise<Budget[]> {
  return (await listBudgets(pool, walletId)).map((row) => toBudget(row, clock()))
}

/** Sets a limit for a subject of the wallet. Throws `not-found` for anything else, `budget-limit` for one too many. */
export async function putBudget(
  deps: BudgetDeps,
  principal: Principal,
  order: { subject: Subject; period: BudgetKey['period']; limitMicros: bigint },
): Promise<Budget> {
  const key = await keyOf(deps, principal, order)
  const { limitMicros } = order
  if (!(await setBudget(deps.pool, key, { limitMicros, budgetsMax: budgetsPerWalletMax })))
    throw new GatewayError('budget-limit', `A wallet has up to ${budgetsPerWalletMax} budgets.`)
  const rows = await listBudgets(deps.pool, principal.walletId)
  const row = rows.find((each) => each.kind === key.kind && each.subject === key.subject && each.period === key.period)
  if (!row) throw new GatewayError('not-found', 'The budget was removed meanwhile.')
  return toBudget(row, deps.clock())
}

/** Removes a limit. Throws `not-found`. */
export async function removeBudget(
  { pool }: BudgetDeps,
  { wallet, walletId }: Principal,
  { subject: { kind, id }, period }: { subject: Subject; period: BudgetKey['period'] },
): Promise<void> {
  const subject = isOfWallet(kind) ? id.toLowerCase() : id
  if (isOfWallet(kind) && subject !== wallet) throw unknown()
  if (!(await dropBudget(pool, { walletId, kind, subject, period }))) throw unknown()
}

// A budget of something that is not there, or not the wallet's own, would limit nothing and say that it does.
async function keyOf(
  { pool, catalogue }: BudgetDeps,
  { wallet, walletId }: Principal,
  { subject: { kind, id }, period }: { subject: Subject; period: BudgetKey['period'] },
): Promise<BudgetKey> {
  if (isOfWallet(kind)) {
    if (id.toLowerCase() !== wallet) throw unknown()
    return { walletId, kind, subject: wallet, period }
  }
  if (kind === 'agent') await catalogue.find(walletId, id)
  else if (!uuid.test(id)) throw unknown()
  else if (!(await (kind === 'session' ? ownsSession(pool, walletId, id) : ownsScope(pool, walletId, id))))
    throw unknown()
  return { walletId, kind, subject: id, period }
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const isOfWallet = (kind: BudgetKey['kind']) => kind === 'wallet' || kind === 'reflection'

async function ownsScope(pool: Pool, walletId: bigint, id: string): Promise<boolean> {
  const scope = await readScopeLimits(pool, { walletId, id })
  return scope !== undefined && scope.status !== 'archived'
}

const unknown = () => new GatewayError('not-found', 'There is no such budget subject of this wallet.')

/** The refusal of an amount, naming the budget that does not cover it. */
export async function budgetRefusal(queryable: Queryable, spending: Spending, now: Date): Promise<GatewayError> {
  const row = await budgetOver(queryable, spending)
  if (!row) return new GatewayError('budget-exceeded', 'A budget did not cover this a moment ago.')
  const { subject, period, limitMicroUsd, spentMicroUsd, resetsAt } = toBudget(row, now)
  return new GatewayError(
    'budget-exceeded',
    `The ${period} budget of this ${subject.kind} does not cover the reservation.`,
    {
      details: { subject, period, limitMicroUsd, spentMicroUsd, resetsAt },
    },
  )
}

function toBudget(row: BudgetRow, now: Date): Budget {
  const midnight = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1))
  return {
    subject: { kind: row.kind, id: row.subject },
    period: row.period,
    limitMicroUsd: row.limitMicros.toString(),
    spentMicroUsd: row.spentMicros.toString(),
    reservedMicroUsd: row.reservedMicros.toString(),
    resetsAt: row.period === 'total' ? null : midnight.toISOString(),
  }
}
