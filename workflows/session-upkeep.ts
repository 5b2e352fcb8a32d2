// What the schedule of conversation retention runs: page after page until no session is left whose time is over.
import { continueAsNew, proxyActivities } from '@temporalio/workflow'
import type { SessionUpkeepActivities } from '../activities/session-upkeep.ts'
import { start, walk, type From } from './ledger-upkeep.ts'
import { sessionUpkeep } from './retry.ts'

const { purgeSessionsPage } = proxyActivities<SessionUpkeepActivities>(sessionUpkeep)

/** Purges what wallets want to have kept no longer. Answers how many sessions went. */
export async function sessionRetention(from: From = start): Promise<number> {
  return walk(from, purgeSessionsPage, (next) => continueAsNew<typeof sessionRetention>(next))
}
