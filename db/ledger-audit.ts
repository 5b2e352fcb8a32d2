// What must be true of the ledger, asked of its rows: one page of wallets at a time, in one snapshot, so that it may be
// asked while money moves. The suites ask the same.
import type { Client, Pool, Queryable } from './pool.ts'

/** A row that must not exist. `walletId`: null when it concerns the whole ledger. */
export type LedgerFault = {
  readonly kind: 'totals' | 'drift' | 'negative' | 'resolution' | 'tampered' | 'formula' | 'budget' | 'stale-hold'
  readonly walletId: bigint | null
  readonly detail: string
}

export type WalletPage = { readonly wallets: number; readonly last: bigint | null; readonly faults: LedgerFault[] }

const auditMs = 60_000 // of one statement; the pool's own bound is for the hot path
const posted = "t.op IN ('posted', 'post')"
const open = `t.op = 'pending' AND NOT EXISTS (SELECT 1 FROM transfer r WHERE r.pending_id = t.id AND r.op IN ('post', 'void'))`
const side = (column: 'debit' | 'credit', alias: string) => `CROSS JOIN LATERAL (
  SELECT coalesce(sum(t.amount) FILTER (WHERE ${posted}), 0) AS posted, coalesce(sum(t.amount) FILTER (WHERE ${open}), 0) AS pending
  FROM transfer t WHERE t.${column} = a.id) ${alias}`

// Debits and credits of everything are one sum, posted and pending: of projected accounts by their balances, of the others
// by their rows.
const totals = `SELECT 'totals' AS kind, NULL::bigint AS "walletId", unit || ': ' || posted || ' posted, ' || pending || ' pending' AS detail FROM (
    SELECT unit, sum(posted) AS posted, sum(pending) AS pending FROM (
      SELECT unit, debits_posted - credits_posted AS posted, debits_pending - credits_pending AS pending FROM account WHERE projected
      UNION ALL SELECT t.unit, CASE WHEN ${posted} THEN t.amount ELSE 0 END, CASE WHEN ${open} THEN t.amount ELSE 0 END
        FROM transfer t JOIN account a ON a.id = t.debit WHERE NOT a.projected
      UNION ALL SELECT t.unit, CASE WHEN ${posted} THEN -t.amount ELSE 0 END, CASE WHEN ${open} THEN -t.amount ELSE 0 END
        FROM transfer t JOIN account a ON a.id = t.credit WHERE NOT a.projected) each GROUP BY unit) sums
  WHERE posted <> 0 OR pending <> 0`

const drift = `SELECT 'drift' AS kind, a.wallet_id AS "walletId", a.code AS detail FROM account a ${side('debit', 'd')} ${side('credit', 'c')}
  WHERE a.wallet_id = ANY ($1) AND a.projected AND (a.debits_posted, a.debits_pending, a.credits_posted, a.credits_pending)
    IS DISTINCT FROM (d.posted, d.pending, c.posted, c.pending)`

const negative = `SELECT 'negative' AS kind, a.wallet_id AS "walletId", a.code AS detail FROM account a
  WHERE a.wallet_id = ANY ($1) AND a.no_overdraft AND a.credits_posted - a.debits_posted - a.debits_pending < 0`

const rows = `transfer t JOIN account a ON a.id IN (t.debit, t.credit) AND a.wallet_id = ANY ($1)`

// A hold is resolved once, between its own accounts, for no more than was held.
const resolution = `SELECT 'resolution' AS kind, a.wallet_id AS "walletId", min(t.pending_id::text) AS detail FROM ${rows}
    JOIN transfer h ON h.id = t.pending_id
  WHERE t.op IN ('post', 'void') GROUP BY a.id, a.wallet_id, t.pending_id, h.amount
  HAVING count(*) > 1 OR bool_or(t.amount > h.amount OR t.debit <> h.debit OR t.credit <> h.credit OR (t.op = 'void' AND t.amount <> 0))`

const tampered = `SELECT 'tampered' AS kind, a.wallet_id AS "walletId", min(t.id::text) AS detail FROM ${rows}
  WHERE t.body_hash <> transfer_body_hash(t.op, t.debit, t.credit, t.amount, t.pending_id, t.code) GROUP BY a.wallet_id`

// available = on chain - unsettled spend - what is pending: the balance on one side, the kinds of rows on the other.
const formula = `SELECT 'formula' AS kind, u.wallet_id AS "walletId", (balance - computed)::text AS detail FROM (
    SELECT a.wallet_id, a.credits_posted - a.debits_posted - a.debits_pending AS balance,
      coalesce(sum(CASE WHEN ${posted} AND d.code = 'onchain' THEN t.amount WHEN ${posted} AND c.code = 'onchain' THEN -t.amount ELSE 0 END), 0)
      - coalesce(sum(CASE WHEN ${posted} AND d.id = a.id AND c.code LIKE 'revenue:%' THEN t.amount
          WHEN ${posted} AND d.code = 'treasury' THEN -t.amount ELSE 0 END), 0)
      - coalesce(sum(CASE WHEN d.id = a.id AND ${open} THEN t.amount ELSE 0 END), 0) AS computed
    FROM account a JOIN account o ON o.wallet_id = a.wallet_id AND o.code = 'onchain'
      LEFT JOIN transfer t ON t.debit IN (a.id, o.id) OR t.credit IN (a.id, o.id)
      LEFT JOIN account d ON d.id = t.debit LEFT JOIN account c ON c.id = t.credit
    WHERE a.wallet_id = ANY ($1) AND a.code = 'user' GROUP BY a.id) u WHERE balance <> computed`

// What counts for a subject in total, against its transfers; and its days against its total.
const budget = `SELECT 'budget' AS kind, b.wallet_id AS "walletId", b.kind || ' ' || b.subject AS detail FROM budget_bucket b
    CROSS JOIN LATERAL (
      SELECT coalesce(sum(t.amount) FILTER (WHERE ${open}), 0) AS reserved,
        coalesce(sum(t.amount) FILTER (WHERE t.op = 'posted'), 0) + coalesce(sum(p.amount), 0) AS spent
      FROM account a JOIN transfer t ON t.debit = a.id JOIN account c ON c.id = t.credit AND c.code LIKE 'revenue:%'
        LEFT JOIN transfer p ON p.pending_id = t.id AND p.op = 'post'
      WHERE a.wallet_id = b.wallet_id AND a.code IN ('user', 'receivable') AND t.op IN ('pending', 'posted')
        AND budget_covers(b.kind, b.subject, t.agent_id, t.meta)) x
    CROSS JOIN LATERAL (SELECT coalesce(sum(d.reserved), 0) AS reserved, coalesce(sum(d.spent), 0) AS spent FROM budget_bucket d
      WHERE (d.wallet_id, d.kind, d.subject) = (b.wallet_id, b.kind, b.subject) AND d.day <> '-infinity') days
  WHERE b.wallet_id = ANY ($1) AND b.day = '-infinity'
    AND ((b.reserved, b.spent) IS DISTINCT FROM (x.reserved, x.spent) OR (b.reserved, b.spent) IS DISTINCT FROM (days.reserved, days.spent))`

const stale = `SELECT 'stale-hold' AS kind, a.wallet_id AS "walletId", min(t.id::text) AS detail
  FROM account a JOIN transfer t ON t.debit = a.id AND ${open}
  WHERE a.wallet_id = ANY ($1) AND a.debits_pending > 0 AND t.at < clock_timestamp() - make_interval(secs => $2::double precision / 1000)
    AND NOT EXISTS (SELECT 1 FROM turn_try y WHERE t.workflow_id = y.turn_id || ':' || y.try AND y.state <> 'ended')
  GROUP BY a.wallet_id`

/** The faults of the ledger as a whole. */
export const auditTotals = (pool: Pool): Promise<LedgerFault[]> =>
  inSnapshot(pool, async (client) => (await client.query<LedgerFault>(totals)).rows)

/** The faults of the next wallets after `after`; `last` is null when there are no more. */
export async function auditWallets(
  pool: Pool,
  page: { after: bigint; limit: number; holdMs: number },
): Promise<WalletPage> {
  return inSnapshot(pool, async (client) => {
    const found = await client.query<{ id: bigint }>('SELECT id FROM wallet WHERE id > $1 ORDER BY id LIMIT $2', [
      page.after,
      page.limit,
    ])
    const ids = found.rows.map((row) => row.id)
    const faults: LedgerFault[] = []
    for (const text of [drift, negative, resolution, tampered, formula, budget])
      faults.push(...(await client.query<LedgerFault>(text, [ids])).rows)
    faults.push(...(await client.query<LedgerFault>(stale, [ids, page.holdMs])).rows)
    return { wallets: ids.length, last: ids.length < page.limit ? null : (ids.at(-1) ?? null), faults }
  })
}

async function inSnapshot<T>(pool: Pool, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken = true
  try {
    await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = ${auditMs}`)
    const result = await work(client)
    await client.query('COMMIT')
    broken = false
    return result
  } finally {
    client.release(broken)
  }
}

/** Stops the holds of a wallet, or of everybody (null). False when they were stopped already. */
export async function haltMoney(queryable: Queryable, walletId: bigint | null, reason: string): Promise<boolean> {
  const { rows } = await queryable.query<{ halted: boolean }>('SELECT money_halt($1, $2) AS halted', [walletId, reason])
  return rows[0]?.halted === true
}

export type MoneyStop = { readonly walletId: bigint | null; readonly reason: string; readonly at: Date }

/** Stops that nobody has lifted, oldest first, up to `limit`. */
export async function readMoneyStops(queryable: Queryable, limit: number): Promise<MoneyStop[]> {
  const { rows } = await queryable.query<MoneyStop>(
    'SELECT wallet_id AS "walletId", reason, at FROM money_stop WHERE lifted_at IS NULL ORDER BY id LIMIT $1',
    [limit],
  )
  return rows
}

/** Lifts a stop; only the owner of the schema may. False when there was none. */
export async function resumeMoney(queryable: Queryable, walletId: bigint | null, by: string): Promise<boolean> {
  const { rows } = await queryable.query<{ lifted: boolean }>('SELECT money_resume($1, $2) AS lifted', [walletId, by])
  return rows[0]?.lifted === true
}
