// House-keeping of evidence: payloads whose retention class is over are dropped. Records and their hashes stay.
import { dropPayloads } from '../db/audit-payload.ts'
import { auditPayloadPageRows } from '../domain/limits.ts'
import { retentionClasses, retentionDays } from '../domain/retention.ts'
import type { ActivityDeps } from './deps.ts'
import { toFailure } from './failure.ts'

export type AuditActivities = ReturnType<typeof createAuditActivities>

export function createAuditActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  return {
    /** One page of each class. Answers how many were dropped; `more` when a page was full. */
    async dropPayloadsPage(): Promise<{ readonly dropped: number; readonly more: boolean }> {
      try {
        let [dropped, more] = [0, false]
        for (const retention of retentionClasses) {
          const order = { retention, days: retentionDays[retention], limit: auditPayloadPageRows }
          const count = await dropPayloads(pool, order)
          dropped += count
          more ||= count === auditPayloadPageRows
        }
        return { dropped, more }
      } catch (error) {
        throw toFailure(error)
      }
    },
  }
}
