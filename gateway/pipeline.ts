// The one pipeline. Every effect on the outside world, from a door or an activity, goes through these steps in this
// order: gate in memory, decision, admission, the gate once more, effect, record. It knows neither Express nor Temporal.
import { randomUUID } from 'node:crypto'
import { beginAttempt, endAttempt } from '../db/attempt.ts'
import { insertAudit, recordOutcome } from '../db/audit.ts'
import type { Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError, InvariantError, toError } from '../domain/errors.ts'
import { decide, type Decision } from '../domain/policy/combine.ts'
import { firstRevoked, mergeGates, scopeName, type GateScope } from '../domain/revocation.ts'
import type { Events } from '../telemetry/events.ts'
import type { AuditSealer } from './audit-sealer.ts'
import { auditIntent, auditOutcome, type Outcome } from './audit-record.ts'
import type { Answer, Call, Effect, EffectResult, Pipeline } from './call.ts'
import type { Epochs, PolicySource } from './ports.ts'

export type PipelineDeps = {
  readonly pool: Pool
  readonly epochs: Epochs
  readonly policy: PolicySource
  readonly sealer: Pick<AuditSealer, 'wake'>
  readonly events: Events
  /** Trace id of the span that is active, if any. */
  readonly traceId: () => string | null
}

type Refused = Extract<Answer<never>, { kind: 'refused' }>
type Admitted = { readonly attemptId: string; readonly seq: bigint | null; readonly governed: boolean }
/** One call on its way: what is known so far. */
type Passage = {
  readonly call: Omit<Call, 'signal'>
  readonly gate: readonly GateScope[]
  readonly decision: Decision
  readonly startedAt: number
}

export function createPipeline(deps: PipelineDeps): Pipeline {
  return {
    async run<T>(call: Call, effect: Effect<T>): Promise<Answer<T>> {
      const passage = await pass(deps, call)
      if ('kind' in passage) return passage
      const admitted = await admission(deps, passage)
      if ('kind' in admitted) return admitted
      return perform(deps, { passage, admitted, signal: call.signal, effect })
    },
    async admit(call) {
      const passage = await pass(deps, call)
      if ('kind' in passage) return passage
      await auditAlone(deps, passage, { status: 'admitted' })
      return { kind: 'done', value: null, decision: passage.decision }
    },
  }
}

/** Scopes of a call: the credential's, its session ids, the agents of the chain, the tool. */
export function gateOf({ principal, resource }: Pick<Call, 'principal' | 'resource'>): GateScope[] {
  const ids = [principal.sessionIds.wsid, principal.sessionIds.asid, principal.sessionIds.msid]
  const named = [
    ...ids.flatMap((id) => (id === undefined ? [] : [scopeName('session', id)])),
    ...principal.actorChain.map((actor) => scopeName('agent', actor.id)),
    ...(resource.kind === 'tool' ? [scopeName('tool', resource.name)] : []),
  ]
  return mergeGates(
    principal.gate,
    named.map((scope) => ({ scope, epoch: 0 })),
  )
}

// Gate in memory, then the decision. What does not pass is recorded as fully as what does.
async function pass(
  deps: PipelineDeps,
  call: Omit<Call, 'signal'>,
): Promise<Passage | Exclude<Answer<never>, { kind: 'done' }>> {
  const startedAt = performance.now()
  const gate = gateOf(call)
  const question = {
    principal: call.principal,
    session: call.session,
    action: call.action,
    resource: call.resource,
    facts: call.facts,
  }
  const decision = decide(deps.policy.current(), question)
  const passage: Passage = { call, gate, decision, startedAt }
  const revoked = firstRevoked(gate, deps.epochs.epochOf)
  if (revoked !== undefined) return refuse(deps, passage, { code: 'revoked', reason: `${revoked} was revoked.` })
  observe(deps, passage)
  if (decision.kind === 'deny') return refuse(deps, passage, { code: 'policy-refused', reason: decision.reason })
  if (decision.kind === 'require') {
    await auditAlone(deps, passage, { status: 'held', code: 'approval-required' })
    return { kind: 'held', decision }
  }
  return passage
}

function observe({ events }: PipelineDeps, { call, decision, startedAt }: Passage): void {
  const code =
    decision.kind === 'allow' ? {} : { code: decision.kind === 'deny' ? 'policy-refused' : 'approval-required' }
  const seconds = (performance.now() - startedAt) / 1000
  events.decisionMade({ action: call.action, kind: decision.kind, rules: decision.ruleIds, seconds, ...code })
}

async function refuse(
  deps: PipelineDeps,
  passage: Passage,
  { code, reason }: Pick<Refused, 'code' | 'reason'>,
): Promise<Refused> {
  await auditAlone(deps, passage, { status: code === 'policy-refused' ? 'denied' : 'refused', code })
  return { kind: 'refused', code, reason, decision: passage.decision }
}

async function auditAlone(
  deps: PipelineDeps,
  { call, decision, startedAt }: Passage,
  end: Pick<Outcome, 'status' | 'code' | 'output'>,
): Promise<void> {
  const outcome = auditOutcome({ ...end, startedAt, traceId: deps.traceId() })
  await insertAudit(deps.pool, {
    id: randomUUID(),
    tenant: call.principal.tenant,
    intent: auditIntent(call, decision),
    outcome,
  })
  deps.sealer.wake()
}

// A model call, a class above read, or anything priced is governed: its attempt row, hold and audit intent are committed
// before any byte leaves. An unpriced read checks memory only, and only while the feed is fresh.
async function admission(deps: PipelineDeps, passage: Passage): Promise<Admitted | Refused> {
  const { call } = passage
  const attemptId = randomUUID()
  const governed = call.resource.kind === 'model' || call.resource.effectClass !== 'read' || call.hold !== undefined
  if (!governed) {
    if (deps.epochs.isFresh()) return { attemptId, seq: null, governed }
    return refuse(deps, passage, { code: 'revocation-feed-stale', reason: 'Revocations cannot be checked right now.' })
  }
  const { answer, seq, scope } = await beginAttempt(deps.pool, attemptOrder(passage, attemptId))
  if (answer === 'ok') return { attemptId, seq: BigInt(seq ?? 0), governed }
  if (answer === 'revoked') return refuse(deps, passage, { code: 'revoked', reason: `${scope} was revoked.` })
  if (answer === 'insufficient')
    return refuse(deps, passage, { code: 'insufficient-funds', reason: 'The balance does not cover this.' })
  if (answer === 'turn_ended') return refuse(deps, passage, { code: 'turn-cancelled', reason: 'The turn has ended.' })
  throw new InvariantError(`Beginning an attempt answered ${answer}.`)
}

function attemptOrder({ call, gate, decision }: Passage, attemptId: string): Parameters<typeof beginAttempt>[1] {
  const { hold, turn, principal } = call
  return {
    attempt: {
      id: attemptId,
      kind: call.resource.kind === 'model' ? 'model' : 'tool',
      effectKey: call.effectKey,
      tenant: principal.tenant,
      walletId: principal.walletId.toString(),
      ...turn,
    },
    scopes: gate.map(({ scope }) => scope),
    epochs: gate.map(({ epoch }) => epoch),
    hold: hold ? { ...hold, amount: hold.amountMicros.toString(), amountMicros: undefined } : null,
    intent: auditIntent(call, decision),
  }
}

type Performing<T> = {
  readonly passage: Passage
  readonly admitted: Admitted
  readonly signal: AbortSignal
  readonly effect: Effect<T>
}

async function perform<T>(deps: PipelineDeps, performing: Performing<T>): Promise<Answer<T>> {
  const { passage, admitted, effect } = performing
  const watch = deps.epochs.watch(passage.gate)
  const signal = AbortSignal.any([performing.signal, watch.signal])
  try {
    signal.throwIfAborted() // right before bytes leave
    const result = await effect({ attemptId: admitted.attemptId, seq: admitted.seq, signal })
    await record(deps, performing, result)
    return { kind: 'done', value: result.value, decision: passage.decision }
  } catch (thrown) {
    const error = watch.signal.aborted ? toError(watch.signal.reason) : thrown
    await recordFailure(deps, performing, error)
    throw error
  } finally {
    watch.release()
  }
}

// Rows, postings, the attempt's end and the audit outcome stand or fall together.
async function record<T>(
  deps: PipelineDeps,
  { passage, admitted }: Performing<T>,
  result: EffectResult<T>,
): Promise<void> {
  const { startedAt } = passage
  if (!admitted.governed) {
    if (result.record) await inTransaction(deps.pool, result.record)
    return auditAlone(deps, passage, { status: 'ok', output: result.output })
  }
  const outcome = auditOutcome({ status: 'ok', output: result.output, startedAt, traceId: deps.traceId() })
  await inTransaction(deps.pool, async (client) => {
    await result.record?.(client)
    await endAttempt(client, admitted.attemptId, { outcome: 'ok', usage: result.usage })
    await recordOutcome(client, admitted.attemptId, outcome)
  })
  deps.sealer.wake()
}

async function recordFailure<T>(
  deps: PipelineDeps,
  { passage, admitted }: Performing<T>,
  error: unknown,
): Promise<void> {
  const code = error instanceof GatewayError ? error.code : 'internal'
  if (!admitted.governed) return auditAlone(deps, passage, { status: 'error', code })
  const outcome = auditOutcome({ status: 'error', code, startedAt: passage.startedAt, traceId: deps.traceId() })
  await inTransaction(deps.pool, async (client) => {
    await endAttempt(client, admitted.attemptId, { outcome: code, usage: undefined })
    await recordOutcome(client, admitted.attemptId, outcome)
  })
  deps.sealer.wake()
}
