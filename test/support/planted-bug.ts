// A bug planted into a function of the database: a suite is worth something only if it sees it.
import type { LedgerFacts } from './ledger-facts.ts'

export type PlantedBug = { readonly name: string; readonly from: string; readonly to: string }

/** Replaces every `from` in the function by `to`. Throws when there is none: the bug is then not planted. */
export async function plantBug(ledger: LedgerFacts, { name, from, to }: PlantedBug): Promise<void> {
  const [row] = await ledger.query('SELECT pg_get_functiondef($1::regproc) AS body', [name])
  const body = String(row?.['body'])
  if (!body.includes(from)) throw new Error(`${name} has no ${from}`)
  await ledger.query(body.replaceAll(from, to))
}
