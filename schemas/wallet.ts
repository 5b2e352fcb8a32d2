// Balance, history and play money of a wallet (contracts 6). Amounts are decimal strings of micro-USD; what has no
// source yet is null, not invented.
import { z } from 'zod'
import { transactionTypes } from '../domain/transaction.ts'
import { Page } from './common.ts'

const Amount = z.string().regex(/^-?\d{1,19}$/)

const Instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text))

export const Balance = z.object({
  availableBalance: Amount,
  availableBalanceUsd: z.string(),
  usdcBalance: Amount,
  onChainBalance: Amount,
  unsettledSpend: Amount,
  pendingWithdrawals: Amount,
  reserved: Amount,
  walletAddress: z.string(),
  unifiedDepositAddress: z.null(),
  depositAddress: z.null(),
  depositInstructions: z.null(),
  agentSpends: z.record(z.string(), z.object({ totalSpent: Amount })),
  /** Turns of 1,000 tokens in and 500 out that the balance pays for, by model. */
  estimatedMessages: z.record(z.string(), z.number().int()),
})
export type Balance = z.output<typeof Balance>

export const Transaction = z.object({
  id: z.string(),
  type: z.enum(transactionTypes),
  amount: Amount,
  agentId: z.string().optional(),
  timestamp: z.iso.datetime(),
  createdAt: z.iso.datetime(),
  status: z.literal('completed'),
  toolCallCount: z.number().int().optional(),
  details: z.record(z.string(), z.union([z.string(), z.number()])),
})
/** Page and filters of the history: from `since` on, before `until`. */
export const HistoryQuery = Page.extend({
  type: z.enum(transactionTypes).optional(),
  agentId: z.string().min(1).max(200).optional(),
  since: Instant.optional(),
  until: Instant.optional(),
})
export type HistoryQuery = z.output<typeof HistoryQuery>

export const TransactionPage = z.object({
  transactions: z.array(Transaction),
  total: z.number().int(),
  hasMore: z.boolean(),
})
export type TransactionPage = z.output<typeof TransactionPage>

export const FaucetReply = z.object({ amount: Amount, availableBalance: Amount, playMoney: z.literal(true) })
