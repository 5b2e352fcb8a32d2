// The whole of a tool's result of which the turn shows the beginning.
import { readLongResults, readWhole } from '../db/chat-transcript.ts'
import type { Pool } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import { Blocks } from '../schemas/model.ts'
import type { Transcripts } from './transcripts.ts'

export type WholeResultDeps = { readonly pool: Pool; readonly transcripts: Pick<Transcripts, 'ofSession'> }

/** Opens the result of a call of the turn; the caller owns the turn. Throws `not-found` for one that was shown whole. */
export async function wholeResult(
  { pool, transcripts }: WholeResultDeps,
  { sessionId, turnId, callId }: { readonly sessionId: string; readonly turnId: string; readonly callId: string },
): Promise<{ readonly id: string; readonly bytes: number; readonly result: string }> {
  const rows = await readLongResults(pool, turnId)
  const vault = rows.length === 0 ? undefined : await transcripts.ofSession(sessionId)
  const row = rows.find((each) =>
    Blocks.parse(vault?.openMessage(each)).some((block) => block.type === 'tool_result' && block.toolUseId === callId),
  )
  const stored = row && (await readWhole(pool, row))
  if (!row || !stored || !vault)
    throw new GatewayError('not-found', 'This call has no result beyond what its turn shows.')
  return { id: callId, bytes: stored.bytes, result: vault.openWhole(row, stored.whole) }
}
