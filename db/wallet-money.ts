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

export type HistoryOrder = {
  readonly walletId: bigint
  readonly limit: number
  readonly offset: number
  /** Transfer codes that are shown; all when absent. */
  readonly codes?: readonly number[] | undefined
  readonly agentId?: string | undefined
  /** From this instant on. */
  readonly since?: Date | undefined
  /** Before this instant. */
  readonly until?: Date | undefined
}

/**
 * Postings of a wallet, newest first, and how many there are: one look, so that both fit. Amounts that rounded to nothing
 * are not shown.
 */
export async function listTransactions(
  queryable: Queryable,
  order: HistoryOrder,
): Promise<{ rows: TransactionRow[]; total: number }> {
  const { rows } = await queryable.query<TransactionRow & { total: bigint }>(
    `WITH history AS (
       SELECT t.seq, t.id, t.code, t.debit = a.id AS "isSpend", t.amount, t.agent_id AS "agentId", t.meta, t.at
       FROM transfer t JOIN account a ON a.id IN (t.debit, t.credit) AND a.wallet_id = $1 AND a.code IN ('user', 'receivable')
       WHERE t.op IN ('post', 'posted') AND t.amount > 0 AND ($4::int[] IS NULL OR t.code = ANY ($4))
         AND ($5::text IS NULL OR t.agent_id = $5) AND ($6::timestamptz IS NULL OR t.at >= $6) AND ($7::timestamptz IS NULL OR t.at < $7))
     SELECT c.total, page.* FROM (SELECT count(*) AS total FROM history) c
       LEFT JOIN LATERAL (SELECT * FROM history ORDER BY seq DESC LIMIT $2 OFFSET $3) page ON true ORDER BY page.seq DESC`,
    [
      order.walletId,
      order.limit,
      order.offset,
      order.codes ?? null,
      order.agentId ?? null,
      order.since ?? null,
      order.until ?? null,
    ],
  )
  const found = rows.flatMap(({ total: _total, ...row }) => ((row.id as string | null) === null ? [] : [row]))
  return { rows: found, total: Number(rows[0]?.total ?? 0) }
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
