// A worker as the doors see it: rows, money and events of a turn, without Temporal and without a model.
import { excessId, postId, turnHoldId } from '../../crypto/turn-ids.ts'
import type { SessionRow } from '../../db/chat-session.ts'
import type { Pool } from '../../db/pool.ts'
import { inTransaction } from '../../db/transaction.ts'
import { endTry, insertMessage, postHold, writeOutcome } from '../../db/turn-step.ts'
import type { TokenBus } from '../../gateway/ports.ts'
import type { Transcripts } from '../../gateway/transcripts.ts'

type Ref = { readonly turnId: string; readonly try: number }
type Worker = { readonly pool: Pool; readonly bus: TokenBus; readonly transcripts: Transcripts }
const chargeMicros = 1_200n

/** Runs a turn to its end: words, message row, charge, outcome, last event. */
export async function answer(
  worker: Worker,
  order: { session: SessionRow; turn: Ref; words: readonly string[] },
): Promise<void> {
  const { session, turn, words } = order
  const streamId = `turn:${turn.turnId}`
  for (const body of words)
    await worker.bus.append({ streamId, kind: 'delta', body, fence: BigInt(turn.try) * 1_000_000n })
  const vault = await worker.transcripts.ofSession(session.id)
  const holdId = turnHoldId({ ...turn, step: 1, n: 0 })
  await inTransaction(worker.pool, async (client) => {
    const place = { turnId: turn.turnId, kind: 'assistant', step: 1, position: 0 } as const
    const sealed = vault.sealMessage(place, [{ type: 'text', text: words.join('') }])
    await insertMessage(client, { ...place, sessionId: session.id, sealed, stopReason: 'end_turn', usage: undefined })
    await client.query('UPDATE turn SET model_output = true WHERE id = $1', [turn.turnId])
    const posting = { postId: postId(holdId), excessId: excessId(holdId), amountMicros: chargeMicros, code: 10 }
    await postHold(client, { ...posting, holdId, meta: { turnId: turn.turnId } })
  })
  const data = {
    model: 'scripted-1',
    executionEngine: 'claude',
    engineUsed: 'claude',
    cost: '$0.0012',
    costRaw: '1200',
  }
  await conclude(worker, turn, { ...data, reason: 'done', status: 'done', toolCallCount: 0, turnId: turn.turnId })
}

/** Ends a turn with an outcome and says so on its stream. */
export async function conclude(
  { pool, bus }: Omit<Worker, 'transcripts'>,
  turn: Ref,
  end: { reason: string; status: string; [key: string]: unknown },
) {
  const { reason, ...outcome } = end
  await inTransaction(pool, async (client) => {
    await endTry(client, { ...turn, from: ['submitted', 'queued', 'running'], reason, voidId: null })
    await writeOutcome(client, turn.turnId, outcome)
  })
  const { status, ...body } = outcome
  const kind = status === 'done' ? 'turn_completed' : 'turn_failed'
  await bus.append({ streamId: `turn:${turn.turnId}`, kind, body })
  await bus.close(`turn:${turn.turnId}`)
}
