// The one pipeline. Every effect on the outside world, from a door or an activity, takes these steps in this order: gate
// in memory, decision, admission, the gate once more, effect, record. It knows neither Express nor Temporal.
import { randomUUID } from 'node:crypto'
import { insertAudit, type Decided } from '../db/audit.ts'
import type { Client } from '../db/pool.ts'
import { GatewayError, invariant, type ErrorCode } from '../domain/errors.ts'
import { gateScopesMax, lowRiskBelow } from '../domain/limits.ts'
import { decide } from '../domain/policy/combine.ts'
import { firstRevoked, mergeGates, scopeName, type GateScope } from '../domain/revocation.ts'
import { codeOfRequirement } from './answer.ts'
import { begin, beginRead, codeOf, isGoverned, perform } from './attempt.ts'
import { auditIntent, auditOutcome, type Ending } from './audit-record.ts'
import type { Admission, Answer, Call, Effect, Pipeline } from './call.ts'
import { giveBack, signsOf, takeMeters, type TakenMeters } from './meters.ts'
import type { Held, Passage, PipelineDeps, Refusal, Refused, Step } from './passage.ts'

const toEffect: readonly Step[] = [
  ...[passGate, obeyDecision, trustPolicy, trustFeedOfRead, trustSpool],
  ...[passMeters, admitEffect],
]
const toAdmission: readonly Step[] = [passGate, obeyDecision, trustPolicy, trustFeed, trustSpool]

export function createPipeline(deps: PipelineDeps): Pipeline {
  return {
    async run<T>(call: Call, effect: Effect<T>): Promise<Answer<T>> {
      const passed = await walk(deps, call, toEffect)
      if ('kind' in passed) return passed
      const value = await perform(deps, { passage: passed, signal: call.signal, effect })
      return doneOf(deps, passed, value)
    },
    async admit<T>(
      call: Omit<Call, 'signal'>,
      enter?: (admission: Admission) => Promise<T>,
    ): Promise<Answer<T> | Answer<null>> {
      const passed = await walk(deps, call, toAdmission)
      if ('kind' in passed) return passed
      if (enter) return enterRecorded(deps, passed, enter)
      const metered = await passMeters(deps, passed)
      if ('kind' in metered) return metered
      await auditAlone(deps, passed, { status: 'admitted' })
      observe(deps, passed)
      return doneOf(deps, metered, null)
    },
  }
}

async function walk(
  deps: PipelineDeps,
  call: Omit<Call, 'signal'>,
  steps: readonly Step[],
): Promise<Passage | Held | Refused> {
  const { principal, session, action, resource, facts } = call
  let passage: Passage = {
    call,
    gate: gateOf(call),
    decision: decide(deps.policy.current(), { principal, session, action, resource, facts }),
    at: new Date(),
    startedAtMs: performance.now(),
    attempt: null,
    begun: null,
    taken: null,
  }
  for (const step of steps) {
    const next = await step(deps, passage)
    if ('kind' in next) return next
    passage = next
  }
  return passage
}

/** Scopes of a call: the credential's, its session ids, the agents of the chain or called on, the tool. */
export function gateOf({ principal, resource }: Pick<Call, 'principal' | 'resource'>): GateScope[] {
  const ids = [principal.sessionIds.wsid, principal.sessionIds.asid, principal.sessionIds.msid]
  const named = [
    ...ids.flatMap((id) => (id === undefined ? [] : [scopeName('session', id)])),
    ...principal.actorChain.map((actor) => scopeName('agent', actor.id)),
    ...(resource.kind === 'agent' ? [scopeName('agent', resource.name)] : []),
    ...(resource.kind === 'tool' ? [scopeName('tool', resource.name)] : []),
  ]
  const gate = mergeGates(
    principal.gate,
    named.map((scope) => ({ scope, epoch: 0 })),
  )
  invariant(gate.length <= gateScopesMax, 'A call concerns a bounded number of revocation scopes.')
  return gate
}

async function passGate(deps: PipelineDeps, passage: Passage): Promise<Passage | Refused> {
  const revoked = firstRevoked(passage.gate, deps.epochs.epochOf)
  if (revoked === undefined) return passage
  return refuse(deps, passage, { code: 'revoked', reason: `${revoked} was revoked.` })
}

async function obeyDecision(deps: PipelineDeps, passage: Passage): Promise<Passage | Held | Refused> {
  const { decision } = passage
  if (decision.kind === 'deny') return refuse(deps, passage, { code: 'policy-refused', reason: decision.reason })
  if (decision.kind === 'require') {
    const code = codeOfRequirement[decision.requirement]
    await auditAlone(deps, passage, { status: 'held', code })
    observe(deps, passage, code)
    return { kind: 'held', decision }
  }
  const unfulfilled = decision.obligations.filter(({ kind }) => kind !== 'limit')
  invariant(unfulfilled.length === 0, 'An allow carries no obligation that nobody fulfils.')
  return passage
}

// What an old policy allows, a newer one may refuse. Reads that cost nothing, in a session of low risk, go on for a while.
async function trustPolicy(deps: PipelineDeps, passage: Passage): Promise<Passage | Refused> {
  if (deps.policy.isFresh?.() ?? true) return passage
  const { call } = passage
  const isLean = !isGoverned(call) && (call.session?.risk ?? 0) < lowRiskBelow
  if (isLean && deps.policy.permits?.() === true) return passage
  return refuse(deps, passage, { code: 'policy-stale', reason: 'Policies cannot be read right now.' })
}

async function trustFeed(deps: PipelineDeps, passage: Passage): Promise<Passage | Refused> {
  if (deps.epochs.isFresh()) return passage
  return refuse(deps, passage, {
    code: 'revocation-feed-stale',
    reason: 'Revocations cannot be checked right now.',
  })
}

// A governed effect reads the epochs in its own transaction; an unpriced read has the memory of this process only.
async function trustFeedOfRead(deps: PipelineDeps, passage: Passage): Promise<Passage | Refused> {
  return isGoverned(passage.call) ? passage : trustFeed(deps, passage)
}

// What is done must leave evidence. Full or unwritable, the spool takes no outcome either.
async function trustSpool(deps: PipelineDeps, passage: Passage): Promise<Passage | Refused> {
  if (deps.evidence.isOpen()) return passage
  return refuse(deps, passage, { code: 'evidence-unavailable', reason: 'Evidence cannot be recorded right now.' })
}

async function admitEffect(deps: PipelineDeps, passage: Passage): Promise<Passage | Refused> {
  const admitted = await beginMetered(deps, passage)
  if ('code' in admitted) return refuse(deps, passage, admitted)
  observe(deps, passage)
  return { ...passage, ...admitted }
}

// Rates and quotas, after which only money may refuse. The rule whose limit is used up is on record.
async function passMeters(deps: PipelineDeps, passage: Passage): Promise<Passage | Refused> {
  const taken = await takeMeters(deps.quota, passage)
  if (!('code' in taken)) return { ...passage, taken }
  const { ruleId, ...refusal } = taken
  return refuse(deps, limitedBy(passage, ruleId), refusal)
}

const limitedBy = (passage: Passage, ruleId: string): Passage => ({
  ...passage,
  decision: { ...passage.decision, ruleIds: [ruleId] },
})

// What does not begin gives back what it took.
async function beginMetered(deps: PipelineDeps, passage: Passage): ReturnType<typeof begin> {
  try {
    const admitted = isGoverned(passage.call) ? await begin(deps, passage) : await beginRead(deps, passage)
    if ('code' in admitted) await giveBack(deps.quota, passage.taken ?? untaken)
    return admitted
  } catch (error) {
    await giveBack(deps.quota, passage.taken ?? untaken).catch(() => undefined) // the error of the call is the one to hear
    throw error
  }
}

// What does not pass is recorded as fully as what does.
async function refuse(deps: PipelineDeps, passage: Passage, refusal: Refusal): Promise<Refused> {
  const { code } = refusal
  await auditAlone(deps, passage, { status: code === 'policy-refused' ? 'denied' : 'refused', code })
  observe(deps, passage, code)
  return { kind: 'refused', ...refusal, decision: passage.decision }
}

const untaken: TakenMeters = { takes: [], at: 0, readings: [] }

function doneOf<T>({ quota }: PipelineDeps, { decision, taken }: Passage, value: T): Answer<T> {
  const undo = () => giveBack(quota, taken ?? untaken)
  return { kind: 'done', value, decision, signs: signsOf(taken ?? untaken), undo }
}

// The door's own no is the end of the decision: it replaces the yes, which its transaction took back.
async function enterRecorded<T>(
  deps: PipelineDeps,
  passage: Passage,
  enter: (admission: Admission) => Promise<T>,
): Promise<Answer<T>> {
  const admitted = decidedAs(deps, passage, { status: 'admitted' })
  let met: Passage = passage
  const meter = async () => {
    const taken = await takeMeters(deps.quota, passage)
    if ('code' in taken) {
      met = limitedBy(passage, taken.ruleId)
      throw new GatewayError(taken.code, taken.reason, taken)
    }
    met = { ...passage, taken }
  }
  try {
    const value = await enter({ record: (client: Client) => insertAudit(client, admitted), meter })
    observe(deps, passage)
    deps.evidence.wake()
    return doneOf(deps, met, value)
  } catch (error) {
    await giveBack(deps.quota, met.taken ?? untaken).catch(() => undefined) // the error of the call is the one to hear
    const refused = error instanceof GatewayError
    const end: Ending = { status: refused ? 'refused' : 'error', code: codeOf(error) }
    await auditAlone(deps, met, end).catch(() => undefined) // nothing was admitted, and the caller hears why
    observe(deps, met, refused ? error.code : 'internal')
    throw error
  }
}

// A decision after which nothing is done is one write of the spool. A refusal has the table left when the spool is full
// or broken; when that fails too, the caller hears of the evidence rather than of the refusal.
async function auditAlone(deps: PipelineDeps, passage: Passage, end: Ending): Promise<null> {
  const decided = decidedAs(deps, passage, end)
  try {
    await deps.evidence.write(decided.id, decided)
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'evidence-unavailable') throw error
    await insertAudit(deps.pool, decided).catch(() => {
      throw error
    })
    deps.evidence.wake()
  }
  return null
}

function decidedAs(deps: PipelineDeps, passage: Passage, end: Ending): Decided {
  return {
    id: randomUUID(),
    tenant: passage.call.principal.tenant,
    intent: auditIntent({ ...passage, span: deps.spanIds() }),
    outcome: auditOutcome(end, passage.startedAtMs),
  }
}

function observe({ events }: PipelineDeps, { call, decision, startedAtMs }: Passage, code?: ErrorCode): void {
  events.decisionMade({
    action: call.action,
    kind: decision.kind,
    rules: decision.ruleIds,
    seconds: (performance.now() - startedAtMs) / 1_000,
    ...(code === undefined ? {} : { code }),
  })
}
