// A turn's tool message whose result is longer than the turn shows, as an activity leaves it.
import type { Pool } from '../../db/pool.ts'
import { inTransaction } from '../../db/transaction.ts'
import { insertMessage } from '../../db/turn-step.ts'
import type { Transcripts } from '../../gateway/transcripts.ts'

/** Keeps it under the call's id. */
export async function keepLongResult(
  { pool, transcripts }: { readonly pool: Pool; readonly transcripts: Transcripts },
  { sessionId, turnId, callId }: { readonly sessionId: string; readonly turnId: string; readonly callId: string },
): Promise<void> {
  const vault = await transcripts.ofSession(sessionId)
  const place = { turnId, kind: 'tool', step: 1, position: 0 } as const
  const sealed = vault.sealMessage(place, [
    { type: 'tool_result', toolUseId: callId, content: 'the beg', isError: false, wholeBytes: 13 },
  ])
  const whole = { sealed: vault.sealWhole(place, 'the beginning'), bytes: 13 }
  const row = { ...place, sessionId, sealed, whole, stopReason: null, usage: undefined }
  await inTransaction(pool, (client) => insertMessage(client, row))
}
