// Budgets of a wallet on the wire (contracts 6.1). Amounts are decimal strings of micro-USD.
import { z } from 'zod'

export const Amount = z.string().regex(/^\d{1,18}$/, 'must be whole micro-USD')
/** `wallet`: all it spends; `reflection`: all it spends on improving itself. Both are named by the wallet's address. */
export const BudgetKind = z.enum(['wallet', 'scope', 'agent', 'session', 'reflection'])
export const BudgetPeriod = z.enum(['daily', 'weekly', 'monthly', 'total'])

export const Budget = z.object({
  subject: z.object({ kind: BudgetKind, id: z.string() }),
  period: BudgetPeriod,
  limitMicroUsd: Amount,
  spentMicroUsd: Amount,
  reservedMicroUsd: z.string(),
  /** When days leave the window next: the coming UTC midnight; null for a total. */
  resetsAt: z.iso.datetime().nullable(),
})
export type Budget = z.output<typeof Budget>
export const BudgetList = z.object({ budgets: z.array(Budget) })

export const BudgetSubject = z.object({ kind: BudgetKind, id: z.string().min(1).max(80) })
export const BudgetParams = BudgetSubject.extend({ period: BudgetPeriod })
/** A limit as text, or as a number that JSON holds exactly. */
export const LimitOrder = z.union([Amount, z.number().int().nonnegative().transform(String)])
export const BudgetOrder = z.object({ period: BudgetPeriod, limitMicroUsd: LimitOrder })
export const RemovedBudget = z.object({ success: z.literal(true) })
