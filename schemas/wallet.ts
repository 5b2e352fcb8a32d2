// Shapes of the wallet family (contracts 6): money as decimal strings of micro-USD.
import { z } from 'zod'

const Amount = z.string().regex(/^-?\d+$/)

export const Balance = z.object({
  availableBalance: Amount,
  availableBalanceUsd: z.string(),
  usdcBalance: Amount,
  unifiedDepositAddress: z.string().nullable(),
  depositAddress: z.string().nullable(),
  walletAddress: z.string(),
  onChainBalance: Amount,
  unsettledSpend: Amount,
  pendingWithdrawals: Amount,
  reserved: Amount,
  agentSpends: z.record(z.string(), z.object({ totalSpent: Amount })),
  depositInstructions: z
    .object({
      network: z.string(),
      chainId: z.number(),
      chainName: z.string(),
      token: z.string(),
      tokenAddress: z.string(),
      decimals: z.number(),
      minimumDeposit: Amount,
      warning: z.string(),
    })
    .nullable(),
  estimatedMessages: z.record(z.string(), z.number()),
})

export const Transactions = z.object({
  transactions: z.array(
    z.object({
      id: z.string(),
      type: z.enum(['spend', 'deposit_detected', 'deposit', 'settlement', 'withdrawal', 'legacy_sweep', 'admin_reset']),
      amount: Amount,
      agentId: z.string().optional(),
      timestamp: z.iso.datetime(),
      createdAt: z.iso.datetime(),
      details: z.record(z.string(), z.unknown()),
      status: z.literal('completed'),
    }),
  ),
  total: z.number(),
  hasMore: z.boolean(),
})

export const Funded = z.object({ funded: Amount, note: z.string() })
