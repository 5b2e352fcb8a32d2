// Turns whose workflow is gone: somebody terminated it, or the cluster came back without it. Nobody else would end their
// tries, give their holds back or tell their viewers. What cannot be asked about is left alone.
import { readLostCandidates } from '../db/turn.ts'
import { lostTurnsLook, turnLostMs } from '../domain/limits.ts'
import type { ActivityDeps } from './deps.ts'
import { createTurnActivities } from './turn.ts'

/** Looks at a few of the turns that have waited or run for long, others each time, and ends those that nobody carries. */
export async function endLostTurns(deps: ActivityDeps): Promise<void> {
  const { failTurn } = createTurnActivities(deps)
  for (const { sessionId, holdId, ...turn } of await readLostCandidates(deps.pool, {
    olderMs: turnLostMs,
    limit: lostTurnsLook,
  })) {
    if (await deps.carriesTurn({ sessionId, ...turn }).catch(() => true)) continue
    await failTurn({ ...turn, code: 'internal' }).catch(() => deps.events.holdUnsettled({ holdId, kind: 'lost-turn' }))
  }
}
