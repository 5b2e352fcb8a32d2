// Attempts of governed effects: begun in one SQL call, ended with their outcome. Gate, order, hold, row and audit intent
// stand together or not at all, committed before any byte of the effect leaves.
import type { GateScope } from '../domain/revocation.ts'
import type { AuditIntent } from '../schemas/audit.ts'
import type { Queryable } from './pool.ts'

export type AttemptOrder = {
  readonly id: string
  readonly kind: 'model' | 'tool'
  readonly effectKey: string
  readonly tenant: string
  readonly walletId: bigint
  readonly turn?: { readonly turnId: string; readonly try: number; readonly step: number } | undefined
  readonly gate: readonly GateScope[]
  readonly hold?: HoldRow | undefined
  readonly intent: AuditIntent
}

type HoldRow = {
  readonly id: string
  readonly revenue: 2 | 3
  readonly amountMicros: bigint
  readonly code: number
  readonly agentId: string
  readonly workflowId: string
  readonly meta: Readonly<Record<string, unknown>>
}

/** `fault`: an answer that no correct caller provokes. */
export type AttemptAnswer =
  | { readonly kind: 'ok'; readonly seq: bigint }
  | { readonly kind: 'revoked'; readonly scope: string }
  | { readonly kind: (typeof refusals)[number] }
  | { readonly kind: 'fault'; readonly answer: string }

/** Nothing was begun, for a reason that callers must expect. */
const refusals = ['insufficient', 'minimum_balance', 'over_budget', 'scope_inactive', 'stopped', 'turn_ended'] as const

type Reply = { answer: string; seq?: number; scope?: string }

/** Begins one attempt. Anything but `ok` took no hold and wrote no attempt. */
export async function beginAttempt(queryable: Queryable, order: AttemptOrder): Promise<AttemptAnswer> {
  const { id, kind, effectKey, tenant, walletId, turn, gate } = order
  const attempt = { id, kind, effectKey, tenant, walletId: walletId.toString(), ...turn }
  const { rows } = await queryable.query<{ reply: Reply }>({
    name: 'attempt-begin',
    text: 'SELECT attempt_begin($1, $2, $3, $4, $5) AS reply',
    values: [
      JSON.stringify(attempt),
      gate.map(({ scope }) => scope),
      gate.map(({ epoch }) => epoch),
      holdText(order.hold),
      JSON.stringify(order.intent),
    ],
  })
  return toAnswer(rows[0]?.reply ?? { answer: 'nothing' })
}

function holdText(hold: HoldRow | undefined): string | null {
  if (hold === undefined) return null
  const { amountMicros, ...rest } = hold
  return JSON.stringify({ ...rest, amount: amountMicros.toString() })
}

function toAnswer({ answer, seq, scope }: Reply): AttemptAnswer {
  if (answer === 'ok' && seq !== undefined) return { kind: 'ok', seq: BigInt(seq) }
  if (answer === 'revoked') return { kind: 'revoked', scope: scope ?? 'A scope' }
  const refusal = refusals.find((each) => each === answer)
  return refusal === undefined ? { kind: 'fault', answer } : { kind: refusal }
}

/** Writes how an attempt ended, once. `outcome`: `ok`, or the code of what went wrong. */
export async function endAttempt(
  queryable: Queryable,
  end: { id: string; outcome: string; usage: Readonly<Record<string, number>> | undefined },
): Promise<void> {
  await queryable.query({
    name: 'attempt-end',
    text: 'UPDATE attempt SET outcome = $2, usage = $3, ended_at = clock_timestamp() WHERE id = $1 AND ended_at IS NULL',
    values: [end.id, end.outcome, end.usage === undefined ? null : JSON.stringify(end.usage)],
  })
}
