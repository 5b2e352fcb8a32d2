// What a wallet has, what it spent, and the development faucet.
import type { Queryable } from './pool.ts'

export type Balance = {
  readonly onChain: bigint
  readonly available: bigint
  readonly reserved: bigint
  readonly unsettled: bigint
}

export async function readBalance(queryable: Queryable, walletId: bigint): Promise<Balance> {
  const { rows } = await queryable.query<Balance>(
    `SELECT o.debits_posted - o.credits_posted AS "onChain", u.credits_posted - u.debits_posted - u.debits_pending AS available,
       u.debits_pending AS reserved, u.debits_posted AS unsettled
     FROM account u JOIN account o ON o.wallet_id = u.wallet_id AND o.code = 'onchain' WHERE u.wallet_id = $1 AND u.code = 'user'`,
    [walletId],
  )
  return rows[0] ?? { onChain: 0n, available: 0n, reserved: 0n, unsettled: 0n }
}

export async function readAgentSpends(
  queryable: Queryable,
  walletId: bigint,
): Promise<{ agentId: string; total: bigint }[]> {
  const { rows } = await queryable.query<{ agentId: string; total: bigint }>(
    `SELECT t.agent_id AS "agentId", sum(t.amount)::bigint AS total FROM transfer t JOIN account a ON a.id = t.debit
     WHERE a.wallet_id = $1 AND a.code IN ('user', 'receivable') AND t.op IN ('post', 'posted') AND t.agent_id IS NOT NULL GROUP BY t.agent_id`,
    [walletId],
  )
  return rows
}

export type TransactionRow = {
  readonly id: string
  readonly code: number
  readonly isSpend: boolean
  readonly amount: bigint
  readonly agentId: string | null
  readonly meta: Readonly<Record<string, unknown>>
  readonly at: Date
}

const history = `FROM transfer t JOIN account a ON a.id IN (t.debit, t.credit) AND a.wallet_id = $1 AND a.code IN ('user', 'receivable')
  WHERE t.op IN ('post', 'posted') AND t.amount > 0`

/** Postings of a wallet, newest first. Amounts that rounded to nothing are not shown. */
export async function listTransactions(
  queryable: Queryable,
  order: { walletId: bigint; limit: number; offset: number },
): Promise<{ rows: TransactionRow[]; total: number }> {
  const counted = await queryable.query<{ total: bigint }>(`SELECT count(*) AS total ${history}`, [order.walletId])
  const { rows } = await queryable.query<TransactionRow>(
    `SELECT t.id, t.code, t.debit = a.id AS "isSpend", t.amount, t.agent_id AS "agentId", t.meta, t.at ${history} ORDER BY t.seq DESC LIMIT $2 OFFSET $3`,
    [order.walletId, order.limit, order.offset],
  )
  return { rows, total: Number(counted.rows[0]?.total ?? 0) }
}

/** Play money, once per wallet. Answers `ok` or `used`. */
export async function fundFromFaucet(
  queryable: Queryable,
  order: { id: string; walletId: bigint; amountMicros: bigint },
): Promise<string> {
  const { rows } = await queryable.query<{ answer: string }>('SELECT faucet_fund($1, $2, $3) AS answer', [
    order.id,
    order.walletId,
    order.amountMicros,
  ])
  return rows[0]?.answer ?? 'none'
}
