// A process that spends its share of a plan as the application does, many at once, and tells its parent every answer.
import { createPool } from '../../db/pool.ts'
import { scopeOf, spendOf } from './spend-plan.ts'

export type SpenderOrder = {
  readonly url: string
  readonly seed: number
  readonly walletIds: readonly string[]
  readonly indexes: readonly number[]
  readonly atOnce: number
}
/** What a hold and its end were answered; a fault instead of an answer has its message. */
export type Spent = { readonly index: number; readonly hold: string; readonly end: string | null }

const order = JSON.parse(process.argv[2] ?? '{}') as Omit<SpenderOrder, 'indexes'>
const pool = createPool({ url: order.url, connectionsMax: order.atOnce, applicationName: 'gatehouse-spender' })
const ask = async (text: string, values: unknown[]): Promise<string> => {
  try {
    return String((await pool.query<{ answer: string }>(text, values)).rows[0]?.answer)
  } catch (error) {
    return `fault: ${error instanceof Error ? error.message : String(error)}`
  }
}

async function spend(index: number): Promise<Spent> {
  const each = spendOf({ seed: order.seed, wallets: order.walletIds.length }, index)
  const scopeId = scopeOf(order.seed, each.wallet, each.scope)
  const meta = { sessionId: each.session, scopeId, ...(each.reflection ? { reflection: true } : {}) }
  const hold = await ask("SELECT ledger_hold($1, $2, 2, $3, 10::smallint, $4, 'w', $5) AS answer", [
    each.holdId,
    order.walletIds[each.wallet],
    each.micros,
    each.agent,
    JSON.stringify(meta),
  ])
  if ((hold !== 'ok' && hold !== 'exists') || each.cost === undefined) return { index, hold, end: null }
  const end =
    each.cost === null
      ? await ask("SELECT ledger_void($1, $2, 12::smallint, '{}') AS answer", [each.endId, each.holdId])
      : await ask("SELECT ledger_post($1, $2, $3, 10::smallint, '{}', gen_random_uuid()) AS answer", [
          each.endId,
          each.holdId,
          each.cost,
        ])
  return { index, hold, end }
}

process.once('disconnect', () => process.exit(0))
process.once('message', (indexes: number[]) => {
  const queue = indexes.values()
  const work = async () => {
    for (const index of queue) process.send?.(await spend(index))
  }
  void Promise.all(Array.from({ length: order.atOnce }, work)).then(async () => {
    await pool.end()
    process.disconnect()
  })
})
