// What the schedule of payload retention runs: page after page until nothing is left that is too old.
import { continueAsNew, proxyActivities, setCurrentDetails } from '@temporalio/workflow'
import type { AuditActivities } from '../activities/audit.ts'
import { upkeepPagesMax } from '../domain/limits.ts'
import { auditUpkeep } from './retry.ts'

const { dropPayloadsPage } = proxyActivities<AuditActivities>(auditUpkeep)

/** Drops payloads whose class is over. Answers how many. */
export async function payloadRetention(before = 0): Promise<number> {
  let dropped = before
  for (let pages = 0; pages < upkeepPagesMax; pages += 1) {
    const page = await dropPayloadsPage()
    dropped += page.dropped
    setCurrentDetails(`Dropped ${dropped}.`)
    if (!page.more) return dropped
  }
  return continueAsNew<typeof payloadRetention>(dropped)
}
