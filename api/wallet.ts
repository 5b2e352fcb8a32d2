// The wallet's money: balance, history, and play money in development.
import { uuidV5 } from '../crypto/uuid.ts'
import {
  fundFromFaucet,
  listTransactions,
  readAgentSpends,
  readBalance,
  type TransactionRow,
} from '../db/wallet-money.ts'
import type { Pool } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import { faucetMicros } from '../domain/limits.ts'
import { formatUsd, micros } from '../domain/money.ts'
import { Page } from '../schemas/common.ts'
import * as shapes from '../schemas/wallet.ts'
import { route, type Route } from './route.ts'

export type WalletDeps = {
  readonly pool: Pool
  /** Development on loopback: the faucet exists. */
  readonly faucet: boolean
}

export function createWalletRoutes(deps: WalletDeps): Route[] {
  return [balanceRoute(deps), transactionsRoute(deps), ...(deps.faucet ? [faucetRoute(deps)] : [])]
}

function balanceRoute({ pool }: WalletDeps): Route {
  return route({
    method: 'get',
    path: '/wallet/balance',
    family: 'wallet',
    summary: 'What the wallet has, what is reserved, what each agent spent.',
    guard: { kind: 'wallet', permission: 'wallet:read' },
    cookie: true,
    responses: { 200: shapes.Balance },
    async handle({ principal }) {
      const { onChain, available, reserved, unsettled } = await readBalance(pool, principal.walletId)
      const spends = await readAgentSpends(pool, principal.walletId)
      const body = {
        availableBalance: available.toString(),
        availableBalanceUsd: formatUsd(micros(available)),
        usdcBalance: onChain.toString(),
        // No chain is connected: there is no address to pay to, and none is invented.
        unifiedDepositAddress: null,
        depositAddress: null,
        depositInstructions: null,
        walletAddress: principal.wallet,
        onChainBalance: onChain.toString(),
        unsettledSpend: unsettled.toString(),
        pendingWithdrawals: '0',
        reserved: reserved.toString(),
        agentSpends: Object.fromEntries(
          spends.map(({ agentId, total }) => [agentId, { totalSpent: total.toString() }]),
        ),
        estimatedMessages: {},
      }
      return { status: 200, body }
    },
  })
}

function transactionsRoute({ pool }: WalletDeps): Route {
  return route({
    method: 'get',
    path: '/wallet/transactions',
    family: 'wallet',
    summary: 'Postings of the wallet, newest first.',
    guard: { kind: 'wallet', permission: 'wallet:read' },
    cookie: true,
    query: Page,
    responses: { 200: shapes.Transactions },
    async handle({ principal, query }) {
      const { rows, total } = await listTransactions(pool, { walletId: principal.walletId, ...query })
      return {
        status: 200,
        body: { transactions: rows.map(transactionOf), total, hasMore: query.offset + rows.length < total },
      }
    },
  })
}

function transactionOf(row: TransactionRow) {
  const at = row.at.toISOString()
  return {
    id: row.id,
    type: row.isSpend ? 'spend' : 'deposit',
    amount: row.amount.toString(),
    ...(row.agentId === null ? {} : { agentId: row.agentId }),
    timestamp: at,
    createdAt: at,
    details: row.meta,
    status: 'completed',
  }
}

function faucetRoute({ pool }: WalletDeps): Route {
  return route({
    method: 'post',
    path: '/wallet/faucet',
    family: 'wallet',
    summary: 'Play money, once per wallet (development).',
    guard: { kind: 'wallet', permission: 'wallet:fund' },
    responses: { 200: shapes.Funded },
    async handle({ principal }) {
      const order = {
        id: uuidV5(`faucet:${principal.walletId}`),
        walletId: principal.walletId,
        amountMicros: faucetMicros,
      }
      if ((await fundFromFaucet(pool, order)) !== 'ok')
        throw new GatewayError('faucet-used', 'This wallet has had its play money.')
      return { status: 200, body: { funded: faucetMicros.toString(), note: 'play money' } }
    },
  })
}
