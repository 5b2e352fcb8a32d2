// House-keeping of sessions: what was said is kept as many days as the wallet's owner has set. Money, evidence and ids
// stay.
import { findOverdueSessions, purgeOverdueSession } from '../db/session-retention.ts'
import { inTransaction } from '../db/transaction.ts'
import { retentionPageSessions } from '../domain/limits.ts'
import type { Clock } from '../gateway/ports.ts'
import type { Transcripts } from '../gateway/transcripts.ts'
import type { ActivityDeps } from './deps.ts'
import { toFailure } from './failure.ts'
import type { Page } from './ledger.ts'

export type SessionUpkeepActivities = ReturnType<typeof createSessionUpkeepActivities>

type Deps = Pick<ActivityDeps, 'pool' | 'events'> & {
  readonly transcripts: Pick<Transcripts, 'forget'>
  readonly clock: Clock
}

const first = '00000000-0000-0000-0000-000000000000'

export function createSessionUpkeepActivities({ pool, events, transcripts, clock }: Deps) {
  return {
    /** Purges one page of sessions whose time is over, each in a transaction of its own, and destroys their keys. */
    async purgeSessionsPage({ after }: { readonly after: string | null }): Promise<Page> {
      try {
        const now = clock()
        const ids = await findOverdueSessions(pool, { now, after: after ?? first, limit: retentionPageSessions })
        let found = 0
        for (const sessionId of ids) {
          if (!(await inTransaction(pool, (client) => purgeOverdueSession(client, { now, sessionId })))) continue
          transcripts.forget(sessionId)
          events.sessionDeleted({ sessionId })
          found += 1
        }
        return { next: ids.length === retentionPageSessions ? (ids.at(-1) ?? null) : null, found }
      } catch (error) {
        throw toFailure(error)
      }
    },
  }
}
