// A wallet's money as its owner reads it, and the development faucet.
import type { PriceTable } from '../config/prices.ts'
import { uuidV5 } from '../crypto/uuid.ts'
import type { Pool } from '../db/pool.ts'
import {
  fundFromFaucet,
  listTransactions,
  readAgentSpends,
  readBalance,
  type TransactionRow,
} from '../db/wallet-money.ts'
import { GatewayError, InvariantError } from '../domain/errors.ts'
import { formatUsd, micros } from '../domain/money.ts'
import { modelReservation, plans, rowsOf } from '../domain/pricing.ts'
import type { Principal } from '../domain/principal.ts'
import { toolCallCode, transactionTypeOf, transferCodes } from '../domain/transaction.ts'
import type { Balance, HistoryQuery, TransactionPage } from '../schemas/wallet.ts'
import type { Clock } from './ports.ts'

export type WalletDeps = { readonly pool: Pool; readonly prices: PriceTable; readonly clock: Clock }

const typicalTurn = { inputTokens: 1_000, outputTokens: 500 }
const faucetMicros = micros(10_000_000n)

export async function balanceOf(deps: WalletDeps, { wallet, walletId }: Principal): Promise<Balance> {
  const [balance, spends] = await Promise.all([readBalance(deps.pool, walletId), readAgentSpends(deps.pool, walletId)])
  return {
    availableBalance: balance.available.toString(),
    availableBalanceUsd: formatUsd(micros(balance.available)),
    usdcBalance: balance.onChain.toString(),
    onChainBalance: balance.onChain.toString(),
    unsettledSpend: balance.unsettled.toString(),
    pendingWithdrawals: '0',
    reserved: balance.reserved.toString(),
    walletAddress: wallet,
    unifiedDepositAddress: null,
    depositAddress: null,
    depositInstructions: null,
    agentSpends: Object.fromEntries(spends.map(({ agentId, total }) => [agentId, { totalSpent: total.toString() }])),
    estimatedMessages: estimates(deps, balance.available),
  }
}

// For the models that have a short name: the ones people are offered.
function estimates({ prices, clock }: WalletDeps, available: bigint): Record<string, number> {
  const day = clock().toISOString().slice(0, 10)
  const models = [...new Set(Object.values(prices.aliases))]
  return Object.fromEntries(
    models.flatMap((model) => {
      const rows = rowsOf(prices.rows, model, day)
      if (rows.length === 0) return [] // its first day is yet to come
      const cost = modelReservation(rows, plans.managed, typicalTurn)
      return [[model, cost === 0n || available <= 0n ? 0 : Number(available / cost)]]
    }),
  )
}

export async function transactionsOf(
  deps: WalletDeps,
  { walletId }: Principal,
  { type, ...page }: HistoryQuery,
): Promise<TransactionPage> {
  if (page.since !== undefined && page.until !== undefined && page.since > page.until)
    throw new GatewayError('request-invalid', 'The time ends before it begins.', { details: { field: 'until' } })
  const codes = type === undefined ? undefined : transferCodes[type]
  const { rows, total } = await listTransactions(deps.pool, { walletId, codes, ...page })
  return { transactions: rows.map(toTransaction), total, hasMore: page.offset + rows.length < total }
}

const shownMeta = ['turnId', 'sessionId', 'scopeId', 'step', 'model', 'tool', 'source'] as const

function toTransaction(row: TransactionRow): TransactionPage['transactions'][number] {
  const at = row.at.toISOString()
  const details = Object.fromEntries(
    shownMeta.flatMap((name) => {
      const value = row.meta[name]
      return typeof value === 'string' || typeof value === 'number' ? [[name, value]] : []
    }),
  )
  return {
    id: row.id,
    type: transactionTypeOf(row.code, row.isSpend),
    amount: row.amount.toString(),
    ...(row.agentId === null ? {} : { agentId: row.agentId }),
    timestamp: at,
    createdAt: at,
    status: 'completed',
    ...(row.code === toolCallCode ? { toolCallCount: 1 } : {}),
    details,
  }
}

/** Play money, once per wallet. */
export async function takeFromFaucet(
  deps: WalletDeps,
  { walletId }: Principal,
): Promise<{ amount: string; availableBalance: string; playMoney: true }> {
  const order = { id: uuidV5(`faucet:${walletId}`), walletId, amountMicros: faucetMicros }
  const answer = await fundFromFaucet(deps.pool, order)
  if (answer === 'used') throw new GatewayError('faucet-used', 'This wallet has had its play money.')
  if (answer !== 'ok') throw new InvariantError(`The faucet answered ${answer}.`)
  const { available } = await readBalance(deps.pool, walletId)
  return { amount: faucetMicros.toString(), availableBalance: available.toString(), playMoney: true }
}
