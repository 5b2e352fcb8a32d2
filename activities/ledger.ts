// The ledger's own house-keeping: one page of the identity check, one page of holds that nobody will resolve.
import { excessId, postId, voidId } from '../crypto/turn-ids.ts'
import { auditTotals, auditWallets, type LedgerFault } from '../db/ledger-audit.ts'
import { findOrphanHolds, type OrphanHold } from '../db/orphan-hold.ts'
import { inTransaction } from '../db/transaction.ts'
import { postHold, voidHold } from '../db/turn-step.ts'
import { InvariantError, invariant } from '../domain/errors.ts'
import {
  ledgerAuditHoldMs,
  ledgerAuditPageWallets,
  orphanEndedMs,
  orphanPageRows,
  orphanStrayMs,
} from '../domain/limits.ts'
import { ceilToMicros } from '../domain/money.ts'
import { baseCost, planCost, plans, rowsOf } from '../domain/pricing.ts'
import { haltFor } from '../gateway/ledger-audit.ts'
import { ModelUsage } from '../schemas/model.ts'
import type { ActivityDeps } from './deps.ts'
import { toFailure } from './failure.ts'

export type LedgerActivities = ReturnType<typeof createLedgerActivities>
type Deps = Pick<ActivityDeps, 'pool' | 'events' | 'prices' | 'today'> & {
  /** Before holds are looked at: what is ended here leaves none. */
  readonly endLostTurns: () => Promise<void>
}

/** Numbers cross the line as decimal text. `next`: where the following page begins; null at the end. */
export type Page = { readonly next: string | null; readonly found: number }

export function createLedgerActivities(deps: Deps) {
  return {
    /** Looks at everything at once, then at the first page of wallets; later pages by `after`. */
    async auditLedgerPage({ after }: { readonly after: string | null }): Promise<Page> {
      return guarded(async () => {
        const whole = after === null ? await auditTotals(deps.pool) : []
        const page = await auditWallets(deps.pool, {
          after: BigInt(after ?? 0),
          limit: ledgerAuditPageWallets,
          holdMs: ledgerAuditHoldMs,
        })
        const faults: LedgerFault[] = [...whole, ...page.faults]
        for (const { kind, walletId } of await haltFor(deps.pool, faults)) deps.events.moneyHalted({ kind, walletId })
        return { next: page.last === null ? null : page.last.toString(), found: faults.length }
      })
    },
    async settleHoldsPage({ after }: { readonly after: string | null }): Promise<Page> {
      return guarded(async () => {
        if (after === null) await deps.endLostTurns()
        const orphans = await findOrphanHolds(deps.pool, {
          afterSeq: BigInt(after ?? 0),
          limit: orphanPageRows,
          endedMs: orphanEndedMs,
          strayMs: orphanStrayMs,
        })
        let found = 0
        for (const orphan of orphans) if ((await settleOrTell(deps, orphan)) === 'ok') found += 1
        const last = orphans.at(-1)
        return { next: last && orphans.length === orphanPageRows ? last.seq.toString() : null, found }
      })
    },
  }
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toFailure(error)
  }
}

// What cannot be priced or posted is left for a person: after a day the audit stops its wallet. It hides no other.
async function settleOrTell(deps: Deps, orphan: OrphanHold): Promise<string> {
  try {
    return await settle(deps, orphan)
  } catch (error) {
    if (!isOfHold(error)) throw error
    deps.events.holdUnsettled({ holdId: orphan.holdId, kind: orphan.kind ?? 'none' })
    return 'unsettled'
  }
}

// A price that is gone, or SQLSTATE classes 22 (data) and 23 (integrity): the database itself is well.
function isOfHold(error: unknown): boolean {
  if (error instanceof InvariantError) return true
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' && /^2[23]/.test(code)
}

// Under the ids that the worker itself would use: whoever comes second is told that it stands.
async function settle(deps: Deps, orphan: OrphanHold): Promise<string> {
  const { holdId } = orphan
  const amountMicros = incurred(deps, orphan)
  if (amountMicros === undefined) return voidHold(deps.pool, { voidId: voidId(holdId), holdId, reason: 'orphaned' })
  const ids = { postId: postId(holdId), holdId, excessId: excessId(holdId) }
  const code = orphan.kind === 'tool' ? 11 : 10
  return inTransaction(deps.pool, (client) =>
    postHold(client, { ...ids, amountMicros, code, meta: { reason: 'orphaned' } }),
  )
}

// What the recorded use costs; undefined when no usable result reached anybody.
function incurred({ prices, today }: Deps, { kind, model, usage, amountMicros }: OrphanHold): bigint | undefined {
  if (kind === 'tool') return amountMicros // a tool call holds its own price
  if (kind === null || model === null || usage === null) return undefined
  const used = ModelUsage.safeParse(usage).data
  invariant(used, 'What was used is written as it was told.')
  const base = baseCost(rowsOf(prices.rows, model, today()), used)
  return ceilToMicros(planCost(plans.managed, base, 0))
}
