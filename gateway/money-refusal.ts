// Why the money call refused, for the one who asked: what is needed, what there is, and which limit stands in between.
import { readMinimumBalance, type Spending } from '../db/budget.ts'
import type { Queryable } from '../db/pool.ts'
import { readScopeLimits } from '../db/runtime-scope.ts'
import { readAvailable } from '../db/turn-step.ts'
import { GatewayError } from '../domain/errors.ts'
import { budgetRefusal } from './budgets.ts'

export type RefusedSpending = Spending & {
  /** The policy's minimum balance. */
  readonly minimumMicros: bigint
  readonly now: Date
}

/** The refusal of a hold; undefined for an answer that is none of money's. */
export async function moneyRefusal(
  queryable: Queryable,
  answer: string,
  spending: RefusedSpending,
): Promise<GatewayError | undefined> {
  if (answer === 'over_budget') return budgetRefusal(queryable, spending, spending.now)
  if (answer === 'scope_inactive') return scopeRefusal(queryable, spending)
  if (answer !== 'insufficient' && answer !== 'minimum_balance') return undefined
  const available = await readAvailable(queryable, spending.walletId)
  const details = {
    required: spending.amountMicros.toString(),
    available: available.toString(),
    depositAddress: null,
  }
  if (answer === 'insufficient')
    return new GatewayError('insufficient-funds', 'The balance does not cover the reservation of this turn.', {
      details,
    })
  const order = { walletId: spending.walletId, policyMicros: spending.minimumMicros }
  const minimumMicroUsd = (await readMinimumBalance(queryable, order)).toString()
  return new GatewayError('minimum-balance', 'The reservation would leave less than the minimum balance.', {
    details: { minimumMicroUsd, ...details },
  })
}

async function scopeRefusal(queryable: Queryable, { walletId, names }: Spending): Promise<GatewayError> {
  const id = names.scopeId ?? ''
  const scope = await readScopeLimits(queryable, { walletId, id })
  if (!scope) return new GatewayError('not-found', 'There is no such runtime scope.')
  return new GatewayError('scope-inactive', `The runtime scope is ${scope.status}.`, {
    details: { scopeId: id, status: scope.status },
  })
}
