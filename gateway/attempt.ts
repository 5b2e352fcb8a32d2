// The second half of the pipeline: one attempt of one effect. Governed, its row, hold and audit intent are committed
// before any byte leaves, and its end, outcome and rows in one transaction; lean, intent and outcome are in the spool.
import { randomUUID } from 'node:crypto'
import { beginAttempt, endAttempt } from '../db/attempt.ts'
import { insertAudit, recordOutcome } from '../db/audit.ts'
import type { Client } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { retentionDefault } from '../domain/retention.ts'
import { GatewayError, InvariantError, invariant, toError } from '../domain/errors.ts'
import { auditIntent, auditOutcome, type Ending } from './audit-record.ts'
import type { Call, Effect, EffectResult } from './call.ts'
import { correctTokens } from './meters.ts'
import type { Passage, PipelineDeps, Refusal } from './passage.ts'

/** A model call, a class above read, or anything priced. */
export function isGoverned({ resource, hold }: Pick<Call, 'resource' | 'hold'>): boolean {
  return resource.kind === 'model' || resource.effectClass !== 'read' || hold !== undefined
}

type Admitted = Pick<Passage, 'attempt'> | Pick<Passage, 'begun'>

/** Writes the intent of an effect that has no attempt row: a read that costs nothing. */
export async function beginRead(deps: PipelineDeps, passage: Passage): Promise<Admitted | Refusal> {
  try {
    return { begun: await deps.evidence.begin(randomUUID(), auditIntent({ ...passage, span: deps.spanIds() })) }
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'evidence-unavailable') throw error
    return { code: 'evidence-unavailable', reason: error.message }
  }
}

/** Passes the gate in the database, takes the hold, writes attempt and intent: all or nothing, before the effect. */
export async function begin(deps: PipelineDeps, passage: Passage): Promise<Admitted | Refusal> {
  const { call, gate } = passage
  const { kind } = call.resource
  invariant(kind === 'model' || kind === 'tool', 'Governed effects are calls of models and tools.')
  const id = randomUUID()
  const answer = await beginAttempt(deps.pool, {
    id,
    kind,
    effectKey: call.effectKey,
    tenant: call.principal.tenant,
    walletId: call.principal.walletId,
    turn: call.turn,
    gate,
    hold: call.hold,
    intent: auditIntent({ ...passage, span: deps.spanIds() }),
  })
  switch (answer.kind) {
    case 'ok':
      return { attempt: { id, seq: answer.seq } }
    case 'revoked':
      return { code: 'revoked', reason: `${answer.scope} was revoked.` }
    case 'insufficient':
      return { code: 'insufficient-funds', reason: 'The balance does not cover this.' }
    case 'over_budget':
      return { code: 'budget-exceeded', reason: 'A budget does not cover this.' }
    case 'minimum_balance':
      return { code: 'minimum-balance', reason: 'Less than the minimum balance would be left.' }
    case 'scope_inactive':
      return { code: 'scope-inactive', reason: 'The runtime scope is not active.' }
    case 'stopped':
      return { code: 'money-stopped', reason: 'Spending is stopped until an operator has looked.' }
    case 'turn_ended':
      return { code: 'turn-cancelled', reason: 'The turn has ended.' }
    case 'fault':
      throw new InvariantError(`Beginning an attempt answered ${answer.answer}.`)
  }
}

type Performing<T> = { readonly passage: Passage; readonly signal: AbortSignal; readonly effect: Effect<T> }

/** Runs the effect under the caller's signal and the gate's, and records how it ended. Throws what the effect throws. */
export async function perform<T>(deps: PipelineDeps, performing: Performing<T>): Promise<T> {
  const { value, fault } = await performOnce(deps, performing)
  if (fault) throw fault
  return value
}

async function performOnce<T>(
  deps: PipelineDeps,
  { passage, signal, effect }: Performing<T>,
): Promise<EffectResult<T>> {
  const watch = deps.epochs.watch(passage.gate)
  const attemptId = passage.attempt?.id ?? passage.begun?.id
  invariant(attemptId !== undefined, 'An effect has an intent.')
  try {
    const either = AbortSignal.any([signal, watch.signal])
    either.throwIfAborted() // the last look before bytes leave
    const retention = passage.decision.retention ?? retentionDefault
    const result = await effect({ attemptId, seq: passage.attempt?.seq ?? null, signal: either, retention }).catch(
      (thrown: unknown) => {
        throw causeOf(thrown, watch.signal)
      },
    )
    await recordResult(deps, passage, { attemptId, result })
    await correct(deps, passage, result.usage)
    return result
  } catch (thrown) {
    await recordFailure(deps, passage, { attemptId, error: thrown })
    await correct(deps, passage, undefined)
    throw thrown
  } finally {
    watch.release()
  }
}

// Tokens that were used in the place of those that were expected. A correction that fails leaves the expectation counted:
// the effect is done and recorded, and is not called a failure for it.
async function correct(
  { quota }: PipelineDeps,
  { taken }: Passage,
  usage: Readonly<Record<string, number>> | undefined,
): Promise<void> {
  if (taken === null) return
  const tokens = Object.entries(usage ?? {}).reduce(
    (sum, [name, count]) => (name.endsWith('Tokens') ? sum + count : sum),
    0,
  )
  await correctTokens(quota, taken, tokens).catch(() => undefined)
}

// What an effect throws after its scope was revoked is the revocation, whatever the upstream made of the cut line.
function causeOf(thrown: unknown, revoked: AbortSignal): unknown {
  if (!revoked.aborted || thrown instanceof InvariantError) return thrown
  return new GatewayError('revoked', toError(revoked.reason).message, { cause: thrown })
}

// Rows, postings, the attempt's end and the audit outcome stand or fall together; a read has its outcome in the spool
// once its rows stand.
async function recordResult<T>(
  deps: PipelineDeps,
  passage: Passage,
  { attemptId, result }: { attemptId: string; result: EffectResult<T> },
): Promise<void> {
  const end: Ending = result.fault
    ? { status: 'error', code: result.fault.code, output: result.output }
    : { status: 'ok', output: result.output }
  if (passage.attempt !== null || result.record !== undefined) {
    await inTransaction(deps.pool, async (client: Client) => {
      await result.record?.(client)
      if (!passage.attempt) return
      await endAttempt(client, { id: attemptId, outcome: result.fault?.code ?? 'ok', usage: result.usage })
      await writeOutcome(deps, passage, { client, attemptId, end })
    })
  }
  if (passage.begun) await deps.evidence.end(passage.begun, auditOutcome(end, passage.startedAtMs))
  else deps.evidence.wake()
}

// The caller gets the effect's error even when it cannot be recorded: the intent then stands, and is sealed as unknown.
async function recordFailure(
  deps: PipelineDeps,
  passage: Passage,
  { attemptId, error }: { attemptId: string; error: unknown },
): Promise<void> {
  const code = codeOf(error)
  const end: Ending = { status: 'error', code }
  if (passage.begun) {
    await deps.evidence.end(passage.begun, auditOutcome(end, passage.startedAtMs)).catch(() => undefined)
    return
  }
  const work = async (client: Client) => {
    await endAttempt(client, { id: attemptId, outcome: code, usage: undefined })
    await writeOutcome(deps, passage, { client, attemptId, end })
  }
  await inTransaction(deps.pool, work).catch(() => undefined)
  deps.evidence.wake()
}

/** Code of a failure on record. */
export function codeOf(error: unknown): string {
  if (error instanceof GatewayError) return error.code
  return error instanceof Error && error.name === 'AbortError' ? 'aborted' : 'internal'
}

async function writeOutcome(
  deps: PipelineDeps,
  passage: Passage,
  { client, attemptId, end }: { client: Client; attemptId: string; end: Ending },
): Promise<void> {
  const outcome = auditOutcome(end, passage.startedAtMs)
  if (await recordOutcome(client, attemptId, outcome)) return
  const intent = auditIntent({ ...passage, span: deps.spanIds() })
  const late = { effect_seq: Number(passage.attempt?.seq ?? 0n), follows: attemptId }
  const { tenant } = passage.call.principal
  await insertAudit(client, { id: randomUUID(), tenant, intent: { ...intent, ...late }, outcome })
}
