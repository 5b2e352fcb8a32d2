// Questions to the ledger that a suite asks as the owner of the database, never through our own code.
import pg from 'pg'

export type LedgerFacts = {
  readonly fund: (address: string, micros: bigint) => Promise<void>
  readonly held: (address: string) => Promise<bigint>
  readonly available: (address: string) => Promise<bigint>
  /** Amount of the newest hold of a wallet. */
  readonly newestHold: (address: string) => Promise<{ amount: bigint; meta: Record<string, unknown> }>
  /** Rows that must not exist: drifted projections, negative wallets, double resolutions. */
  readonly faults: () => Promise<readonly unknown[]>
  readonly query: (sql: string, values?: readonly unknown[]) => Promise<Record<string, unknown>[]>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/** Connects as the owner of the schema. */
export async function connectLedgerFacts(databaseUrl: string): Promise<LedgerFacts> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const query: LedgerFacts['query'] = async (sql, values = []) => (await client.query(sql, [...values])).rows
  const one = async (sql: string, values: readonly unknown[]) =>
    BigInt(String((await query(sql, values))[0]?.['value'] ?? 0))
  const user = `SELECT %s AS value FROM account a JOIN wallet w ON w.id = a.wallet_id WHERE w.address = $1 AND a.code = 'user'`
  return {
    query,
    async fund(address, micros) {
      const [row] = await query(
        `SELECT ledger_write(gen_random_uuid(), 'posted', wallet_account(id, 'onchain'), wallet_account(id, 'user'), $2, NULL, 1::smallint, NULL, NULL, '{}') AS answer
         FROM wallet WHERE address = $1`,
        [address, micros],
      )
      if (row?.['answer'] !== 'ok') throw new Error(`Funding answered ${String(row?.['answer'])}.`)
    },
    held: (address) => one(user.replace('%s', 'a.debits_pending'), [address]),
    available: (address) => one(user.replace('%s', 'a.credits_posted - a.debits_posted - a.debits_pending'), [address]),
    async newestHold(address) {
      const [row] = await query(
        `SELECT t.amount, t.meta FROM transfer t JOIN account a ON a.id = t.debit JOIN wallet w ON w.id = a.wallet_id
         WHERE w.address = $1 AND t.op = 'pending' ORDER BY t.seq DESC LIMIT 1`,
        [address],
      )
      return { amount: BigInt(String(row?.['amount'] ?? 0)), meta: (row?.['meta'] ?? {}) as Record<string, unknown> }
    },
    faults: () =>
      query(`SELECT 'drift' AS fault, a.id::text AS id FROM account a WHERE projected AND (
          debits_posted <> (SELECT coalesce(sum(amount), 0) FROM transfer t WHERE t.debit = a.id AND op IN ('posted', 'post'))
          OR credits_posted <> (SELECT coalesce(sum(amount), 0) FROM transfer t WHERE t.credit = a.id AND op IN ('posted', 'post'))
          OR debits_pending <> (SELECT coalesce(sum(amount), 0) FROM transfer t WHERE t.debit = a.id AND op = 'pending'
             AND NOT EXISTS (SELECT 1 FROM transfer r WHERE r.pending_id = t.id)))
        UNION ALL SELECT 'negative', id::text FROM account WHERE no_overdraft AND credits_posted - debits_posted - debits_pending < 0
        UNION ALL SELECT 'twice', pending_id::text FROM transfer WHERE pending_id IS NOT NULL GROUP BY pending_id HAVING count(*) > 1`),
    [Symbol.asyncDispose]: () => client.end(),
  }
}
