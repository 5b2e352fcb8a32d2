// What the ledger's schedules run: page after page until the end. A long way rolls over, so that no history grows.
import { continueAsNew, proxyActivities, setCurrentDetails } from '@temporalio/workflow'
import type { LedgerActivities, Page } from '../activities/ledger.ts'
import { upkeepPagesMax } from '../domain/limits.ts'
import { ledgerUpkeep } from './retry.ts'

const { auditLedgerPage, settleHoldsPage } = proxyActivities<LedgerActivities>(ledgerUpkeep)

export type From = { readonly after: string | null; readonly found: number }
export const start: From = { after: null, found: 0 }

/** Checks the identities of the whole ledger; what does not hold stops money. Answers how many faults it saw. */
export async function ledgerAudit(from: From = start): Promise<number> {
  return walk(from, auditLedgerPage, (next) => continueAsNew<typeof ledgerAudit>(next))
}

/** Settles holds that nobody will resolve. Answers how many. */
export async function holdSettlement(from: From = start): Promise<number> {
  return walk(from, settleHoldsPage, (next) => continueAsNew<typeof holdSettlement>(next))
}

export async function walk(
  from: From,
  page: (order: { after: string | null }) => Promise<Page>,
  rollOver: (next: From) => Promise<never>,
): Promise<number> {
  let { after, found } = from
  for (let pages = 0; pages < upkeepPagesMax; pages += 1) {
    const seen = await page({ after })
    found += seen.found
    setCurrentDetails(`Found ${found}.`)
    if (seen.next === null) return found
    after = seen.next
  }
  return rollOver({ after, found })
}
