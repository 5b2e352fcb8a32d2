// The end of a try: its outcome row, its open holds, the last event of its stream. Safe to run twice.
import { voidId } from '../crypto/turn-ids.ts'
import type { Client } from '../db/pool.ts'
import {
  endTry,
  lockTurn,
  openHolds,
  readAvailable,
  readBrokenUsage,
  voidHold,
  writeOutcome,
  type TurnFacts,
} from '../db/turn-step.ts'
import { inTransaction } from '../db/transaction.ts'
import { isErrorCode, type ErrorCode } from '../domain/errors.ts'
import { formatUsd, micros } from '../domain/money.ts'
import { ModelUsage } from '../schemas/model.ts'
import { turnStreamId } from '../workflows/contract.ts'
import { lastFenceOf } from './answer.ts'
import { chargeModel } from './charge.ts'
import type { ActivityDeps } from './deps.ts'
import { toFailure } from './failure.ts'
import { tryName } from './turn-context.ts'

export type TurnActivities = ReturnType<typeof createTurnActivities>

type TryRef = { readonly turnId: string; readonly try: number }

/** What a person is told; details stay in the log. */
const messages: Partial<Record<ErrorCode, string>> = {
  'turn-cancelled': 'The turn was cancelled.',
  revoked: 'The credential or session was revoked.',
  'insufficient-funds': 'The balance does not cover the next step.',
  'budget-exceeded': 'A budget does not cover the next step.',
  'minimum-balance': 'Less than the minimum balance would be left after the next step.',
  'scope-inactive': 'The runtime scope was paused or archived.',
  'money-stopped': 'Spending is stopped until an operator has looked.',
  'upstream-timeout': 'The model did not answer in time.',
  'upstream-unavailable': 'The model is not available.',
  'upstream-rate-limited': 'The model is rate limited.',
  'upstream-refused': 'The model refused our credential.',
  'upstream-invalid': 'The model answered what cannot be read.',
}

export function createTurnActivities(deps: ActivityDeps) {
  return {
    async finishTurn(order: TryRef & { readonly stopped: string | null }): Promise<void> {
      await guarded(async () => {
        deps.crashPoint('turn-before-finish')
        await conclude(deps, { ...tryOf(order), reason: 'done' }, (turn, available) => ({
          status: 'done',
          ...doneOf(turn, available),
          ...(order.stopped === null ? {} : { stopped: order.stopped }),
        }))
      })
    },
    async failTurn(order: TryRef & { readonly code: string }): Promise<void> {
      await guarded(async () => {
        const code = isErrorCode(order.code) ? order.code : 'internal'
        const message = messages[code] ?? 'The turn could not be finished.'
        await conclude(deps, { ...tryOf(order), reason: code }, () => ({ status: 'error', code, message }))
      })
    },
  }
}

const tryOf = (order: TryRef): TryRef => ({ turnId: order.turnId, try: order.try })

async function guarded(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw toFailure(error)
  }
}

type Outcome = Readonly<Record<string, unknown>> & { readonly status: 'done' | 'error' }

async function conclude(
  deps: ActivityDeps,
  { reason, ...ref }: TryRef & { readonly reason: string },
  outcomeOf: (turn: TurnFacts, available: bigint) => Outcome,
): Promise<void> {
  // Locks in the order of every other step: the turn, its try, the accounts.
  const concluded = await inTransaction(deps.pool, async (client) => {
    const turn = await lockTurn(client, ref.turnId)
    const ended = await endTry(client, { ...ref, from: ['submitted', 'queued', 'running'], reason, voidId: null })
    for (const hold of await openHolds(client, tryName(ref))) await resolve(deps, client, { hold, turn })
    if (!turn || turn.try !== ref.try) return undefined // deleted, or a later try took over
    // A try that was ended before a first activity ran (nobody answered) has no outcome of its own and stays silent.
    if (!ended) return { outcome: turn.outcome as Outcome | null, turn, ended }
    const outcome = outcomeOf(turn, await readAvailable(client, turn.walletId))
    await writeOutcome(client, ref.turnId, outcome)
    return { outcome, turn, ended }
  })
  deps.crashPoint('turn-after-finish')
  if (!concluded?.outcome) return
  const { status, ...body } = concluded.outcome
  const seconds = (Date.now() - concluded.turn.createdAt.getTime()) / 1000
  if (concluded.ended) deps.events.turnEnded({ ...ref, outcome: reason, seconds })
  const streamId = turnStreamId(ref.turnId)
  const fence = lastFenceOf(ref.try) // a next try may have begun since the rows were written
  await deps.bus.append({ streamId, kind: status === 'done' ? 'turn_completed' : 'turn_failed', body, fence })
  await deps.bus.close(streamId, fence)
}

type Open = { readonly hold: { readonly id: string; readonly step: number }; readonly turn: TurnFacts | undefined }

// What an attempt of the step had cost before it failed is posted, the newest once; without that nothing was incurred.
async function resolve(deps: ActivityDeps, client: Client, { hold, turn }: Open): Promise<void> {
  const known = turn && (await readBrokenUsage(client, { turnId: turn.turnId, holdId: hold.id }))
  const usage = ModelUsage.safeParse(known).data
  if (turn && usage) await chargeModel(deps, client, { turn, holdId: hold.id, step: hold.step, usage, isKept: false })
  else await voidHold(client, { voidId: voidId(hold.id), holdId: hold.id, reason: 'turn-ended' })
}

function doneOf(turn: TurnFacts, available: bigint): Readonly<Record<string, unknown>> {
  return {
    model: turn.model,
    executionEngine: turn.engine,
    engineUsed: turn.engine,
    cost: formatUsd(micros(turn.postedMicros)),
    costRaw: turn.postedMicros.toString(),
    balanceRemaining: available.toString(),
    usage: { inputTokens: Number(turn.inputTokens), outputTokens: Number(turn.outputTokens) },
    toolCallCount: turn.toolCalls,
    turnId: turn.turnId,
  }
}
