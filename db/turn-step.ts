// What the steps of a turn read and write: the turn with its session, the transcript, the running totals, the holds.
import type { Client, Queryable } from './pool.ts'

export type TurnFacts = {
  readonly turnId: string
  readonly sessionId: string
  readonly agentId: string
  readonly engine: string
  readonly model: string
  readonly walletId: bigint
  readonly wallet: string
  readonly try: number
  readonly admission: unknown
  readonly costPicos: bigint
  readonly postedMicros: bigint
  readonly inputTokens: bigint
  readonly outputTokens: bigint
  readonly toolCalls: number
  readonly outcome: Record<string, unknown> | null
  readonly createdAt: Date
}

const turnSelect = `SELECT t.id AS "turnId", t.session_id AS "sessionId", s.agent_id AS "agentId", s.engine, t.model,
  t.wallet_id AS "walletId", w.address AS wallet, t.try, t.admission, t.cost_picos::text AS cost, t.posted_micros AS "postedMicros",
  t.input_tokens AS "inputTokens", t.output_tokens AS "outputTokens", t.tool_calls AS "toolCalls", t.outcome, t.created_at AS "createdAt"
  FROM turn t JOIN chat_session s ON s.id = t.session_id JOIN wallet w ON w.id = t.wallet_id WHERE t.id = $1`

type TurnRow = Omit<TurnFacts, 'costPicos'> & { readonly cost: string }

/** A turn with its session; undefined when its session was deleted. */
export async function readTurn(queryable: Queryable, turnId: string): Promise<TurnFacts | undefined> {
  return toFacts((await queryable.query<TurnRow>({ name: 'turn-read', text: turnSelect, values: [turnId] })).rows[0])
}

/** The same under a row lock, for moving the totals. */
export async function lockTurn(client: Client, turnId: string): Promise<TurnFacts | undefined> {
  return toFacts((await client.query<TurnRow>(`${turnSelect} FOR NO KEY UPDATE OF t`, [turnId])).rows[0])
}

function toFacts(row: TurnRow | undefined): TurnFacts | undefined {
  if (!row) return undefined
  const { cost, ...rest } = row
  return { ...rest, costPicos: BigInt(cost) }
}

export type MessageRow = {
  readonly turnId: string
  readonly kind: 'user' | 'assistant' | 'tool'
  readonly step: number
  readonly position: number
  readonly content: unknown
  readonly stopReason: string | null
  readonly createdAt: Date
}

const messageColumns = `m.turn_id AS "turnId", m.kind, m.step, m.position, m.content, m.stop_reason AS "stopReason", m.created_at AS "createdAt"`

/** One message of a turn. */
export async function readMessage(
  queryable: Queryable,
  key: { turnId: string; kind: MessageRow['kind']; step: number; position: number },
): Promise<MessageRow | undefined> {
  const { rows } = await queryable.query<MessageRow>(
    `SELECT ${messageColumns} FROM message m WHERE turn_id = $1 AND kind = $2 AND step = $3 AND position = $4`,
    [key.turnId, key.kind, key.step, key.position],
  )
  return rows[0]
}

/** The transcript a model sees: finished turns and the one that runs, newest `limit` messages, oldest first. */
export async function readTranscript(
  queryable: Queryable,
  order: { sessionId: string; turnId: string; limit: number },
): Promise<MessageRow[]> {
  const { rows } = await queryable.query<MessageRow>(
    `SELECT ${messageColumns} FROM message m JOIN turn t ON t.id = m.turn_id
     WHERE m.session_id = $1 AND (t.id = $2 OR t.outcome->>'status' = 'done')
     ORDER BY t.ordinal DESC, m.step DESC, array_position(ARRAY['user', 'assistant', 'tool'], m.kind) DESC, m.position DESC LIMIT $3`,
    [order.sessionId, order.turnId, order.limit],
  )
  return rows.toReversed()
}

export type NewMessage = Omit<MessageRow, 'createdAt' | 'content'> & {
  readonly sessionId: string
  readonly usage: unknown
  readonly sealed: SealedMessage
  /** A result of which the content is the beginning, sealed. */
  readonly whole?: { readonly sealed: Buffer; readonly bytes: number } | undefined
}

/** Content as it is stored, with what may be known of it unopened. */
export type SealedMessage = { readonly content: unknown; readonly bytes: number; readonly images: number }

/** Writes a message once; false when it stood already. */
export async function insertMessage(client: Client, row: NewMessage): Promise<boolean> {
  const { rowCount } = await client.query(
    `INSERT INTO message (id, session_id, turn_id, kind, step, position, content, content_bytes, images, stop_reason, usage, whole, whole_bytes)
     VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (turn_id, kind, step, position) DO NOTHING`,
    [
      row.sessionId,
      row.turnId,
      row.kind,
      row.step,
      row.position,
      JSON.stringify(row.sealed.content),
      row.sealed.bytes,
      row.sealed.images,
      row.stopReason,
      row.usage === undefined ? null : JSON.stringify(row.usage),
      row.whole?.sealed ?? null,
      row.whole?.bytes ?? null,
    ],
  )
  if (rowCount === 1) {
    await client.query(
      'UPDATE chat_session SET message_count = message_count + 1, last_active_at = clock_timestamp(), last_message_at = clock_timestamp() WHERE id = $1',
      [row.sessionId],
    )
  }
  return rowCount === 1
}

export type Totals = {
  readonly costPicos: bigint
  readonly postedMicros: bigint
  readonly inputTokens: bigint
  readonly outputTokens: bigint
  readonly toolCalls: number
  /** Whether the step left a message of the model's; a turn that has one keeps it. */
  readonly isOutput: boolean
}

/** Replaces the totals of a turn that the caller holds locked. */
export async function writeTotals(client: Client, turnId: string, totals: Totals): Promise<void> {
  await client.query(
    `UPDATE turn SET cost_picos = $2::numeric, posted_micros = $3, input_tokens = $4, output_tokens = $5, tool_calls = $6, model_output = model_output OR $7 WHERE id = $1`,
    [
      turnId,
      totals.costPicos.toString(),
      totals.postedMicros,
      totals.inputTokens,
      totals.outputTokens,
      totals.toolCalls,
      totals.isOutput,
    ],
  )
}

/** Usage of the newest attempt under a hold that failed after its cost was known. */
export async function readBrokenUsage(
  queryable: Queryable,
  { turnId, holdId }: { turnId: string; holdId: string },
): Promise<unknown> {
  const { rows } = await queryable.query<{ usage: unknown }>(
    `SELECT usage FROM attempt WHERE turn_id = $1 AND hold_id = $2 AND kind = 'model' AND usage IS NOT NULL AND outcome <> 'ok'
     ORDER BY seq DESC LIMIT 1`,
    [turnId, holdId],
  )
  return rows[0]?.usage
}

/** Seq of a stream from which the step that runs now has written: what came after the last whole event before it. */
export async function stepBeginning(queryable: Queryable, streamId: string): Promise<bigint> {
  const { rows } = await queryable.query<{ seq: bigint }>(
    `SELECT coalesce(max(seq), 0) + 1 AS seq FROM stream_chunk
     WHERE stream_id = $1 AND kind NOT IN ('delta', 'thinking', 'tool_call', 'attempt_started')`,
    [streamId],
  )
  return rows[0]?.seq ?? 1n
}

/** Whether an effect was begun before, by any attempt. */
export async function wasAttempted(queryable: Queryable, effectKey: string): Promise<boolean> {
  const { rowCount } = await queryable.query('SELECT 1 FROM attempt WHERE effect_key = $1 LIMIT 1', [effectKey])
  return (rowCount ?? 0) > 0
}

export type KnownHold = { readonly amountMicros: bigint; readonly isVoided: boolean }

/** A hold that was taken before. */
export async function readHold(queryable: Queryable, holdId: string): Promise<KnownHold | undefined> {
  const { rows } = await queryable.query<KnownHold>(
    `SELECT t.amount AS "amountMicros", EXISTS (SELECT 1 FROM transfer r WHERE r.pending_id = t.id AND r.op = 'void') AS "isVoided"
     FROM transfer t WHERE t.id = $1 AND t.op = 'pending'`,
    [holdId],
  )
  return rows[0]
}

/** Posts the actual cost of a hold. Answers the ledger's code. */
export async function postHold(
  client: Client,
  order: {
    postId: string
    holdId: string
    excessId: string
    amountMicros: bigint
    code: number
    meta: Readonly<Record<string, unknown>>
  },
): Promise<string> {
  const { rows } = await client.query<{ answer: string }>(
    'SELECT ledger_post($1, $2, $3, $4::smallint, $5, $6) AS answer',
    [order.postId, order.holdId, order.amountMicros, order.code, JSON.stringify(order.meta), order.excessId],
  )
  return rows[0]?.answer ?? 'none'
}

/** Holds of a try that nobody has resolved, each with its step. */
export async function openHolds(
  queryable: Queryable,
  workflowId: string,
): Promise<{ readonly id: string; readonly step: number }[]> {
  const { rows } = await queryable.query<{ id: string; step: number }>(
    `SELECT t.id, coalesce((t.meta->>'step')::integer, 0) AS step FROM transfer t WHERE t.op = 'pending' AND t.workflow_id = $1
     AND NOT EXISTS (SELECT 1 FROM transfer r WHERE r.pending_id = t.id) ORDER BY t.seq`,
    [workflowId],
  )
  return rows
}

export async function voidHold(
  queryable: Queryable,
  order: { voidId: string; holdId: string; reason: string },
): Promise<string> {
  const { rows } = await queryable.query<{ answer: string }>('SELECT ledger_void($1, $2, 12::smallint, $3) AS answer', [
    order.voidId,
    order.holdId,
    JSON.stringify({ reason: order.reason }),
  ])
  return rows[0]?.answer ?? 'none'
}

/** Ends a try once. Answers whether this call ended it. */
export async function endTry(
  queryable: Queryable,
  order: { turnId: string; try: number; from: readonly string[]; reason: string; voidId: string | null },
): Promise<boolean> {
  const { rows } = await queryable.query<{ moved: boolean }>('SELECT turn_try_end($1, $2, $3, $4, $5) AS moved', [
    order.turnId,
    order.try,
    order.from,
    order.reason,
    order.voidId,
  ])
  return rows[0]?.moved ?? false
}

export async function writeOutcome(
  client: Client,
  turnId: string,
  outcome: Readonly<Record<string, unknown>>,
): Promise<void> {
  await client.query('UPDATE turn SET outcome = $2, ended_at = clock_timestamp() WHERE id = $1', [
    turnId,
    JSON.stringify(outcome),
  ])
}

/** What a wallet may still spend. */
export async function readAvailable(queryable: Queryable, walletId: bigint): Promise<bigint> {
  const { rows } = await queryable.query<{ available: bigint }>(
    `SELECT credits_posted - debits_posted - debits_pending AS available FROM account WHERE wallet_id = $1 AND code = 'user'`,
    [walletId],
  )
  return rows[0]?.available ?? 0n
}
