// The door of a chat turn. Under the lock of its key it decides what the POST means; a new try takes its hold, turn and
// message in one call; only then is the workflow told. Refused and unanswered tries are ended and voided, so that nothing
// that was answered with a refusal ever runs.
import { createHash, randomUUID } from 'node:crypto'
import type { Durable } from '../clients/durable.ts'
import type { Agent } from '../config/agents.ts'
import type { PriceTable, resolveModel } from '../config/prices.ts'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import { turnHoldId, voidId } from '../crypto/turn-ids.ts'
import type { SessionRow } from '../db/chat-session.ts'
import type { Client, Pool } from '../db/pool.ts'
import { reopenStream } from '../db/stream.ts'
import { beginTurn, lockTurnKey, markQueued, pointTurnKey, readTryState, type KeyRow } from '../db/turn.ts'
import { endTry } from '../db/turn-step.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError, InvariantError } from '../domain/errors.ts'
import {
  previewCharsMax,
  rollOverTurns,
  sessionIdleCloseMinutes,
  turnAcceptMs,
  turnQueueMax,
  turnStepsMax,
} from '../domain/limits.ts'
import { modelReservation, plans, rowsOf } from '../domain/pricing.ts'
import type { Principal } from '../domain/principal.ts'
import { decideTurn, type TurnDecision } from '../domain/turn-decision.ts'
import type { Block } from '../schemas/model.ts'
import type { Events } from '../telemetry/events.ts'
import { admissionOf } from './admission-record.ts'
import { errorOf } from './answer.ts'
import type { Admission, Answer, Call, Pipeline } from './call.ts'
import { stepMeta } from './hold-meta.ts'
import type { Lanes } from './lanes.ts'
import { moneyRefusal } from './money-refusal.ts'
import { gateOf } from './pipeline.ts'
import type { MeterSigns } from './meters.ts'
import type { Clock } from './ports.ts'
import type { Transcripts, Vault } from './transcripts.ts'
import { turnTokensBound } from './turn-bound.ts'

export type TurnDoorDeps = {
  readonly pool: Pool
  readonly pipeline: Pipeline
  readonly transcripts: Pick<Transcripts, 'ofSession'>
  readonly durable: Pick<Durable, 'submitTurn'>
  /** Before the lock of a wallet's account. */
  readonly doors: Lanes
  readonly prices: PriceTable
  readonly resolveModel: typeof resolveModel
  readonly events: Events
  readonly clock: Clock
  readonly idleCloseMinutes?: number // of a session's run; the limit where it is absent
}

export type TurnPost = {
  readonly principal: Principal
  readonly agent: Agent
  readonly session: SessionRow
  readonly content: readonly Block[]
  readonly model: string | undefined
  readonly idempotencyKey: string | undefined
  /** The scope that pays and confines; its owner was looked at. */
  readonly runtimeScopeId?: string | undefined
}

export type OpenedTurn = {
  readonly turnId: string
  readonly try: number
  readonly dedupe: 'first' | 'joined' | 'replay'
  /** Rates and quotas after it; a turn that was joined or replayed took nothing. */
  readonly signs: MeterSigns
}

type Prepared = {
  readonly post: TurnPost
  readonly principal: Principal
  readonly model: string
  readonly bodyHash: string
  readonly holdMicros: bigint
  readonly bound: { readonly inputTokens: number; readonly outputTokens: number }
  readonly call: Omit<Call, 'signal'>
  readonly vault: Vault
}

/** Opens a turn, joins the one that runs or finds the one to replay. Throws what refuses it. */
export async function openTurn(deps: TurnDoorDeps, post: TurnPost): Promise<OpenedTurn> {
  const prepared = await prepare(deps, post)
  const admitted = await admit(deps, prepared, (admission) => decideAndBegin(deps, prepared, admission))
  const { value: decision, signs, undo } = admitted
  const turn = { turnId: decision.turnId, try: decision.try }
  deps.events.turnOpened({ ...turn, dedupe: decision.kind })
  if (decision.kind === 'join') return { ...turn, dedupe: 'joined', signs }
  if (decision.kind === 'replay') return { ...turn, dedupe: 'replay', signs }
  try {
    await submit(deps, prepared, turn)
  } catch (error) {
    await undo().catch(() => undefined) // the error of the turn is the one to hear
    throw error
  }
  return { ...turn, dedupe: decision.kind === 'resubmit' ? 'joined' : 'first', signs }
}

async function prepare(deps: TurnDoorDeps, post: TurnPost): Promise<Prepared> {
  const { session, agent, content, runtimeScopeId } = post
  const { model, rows } = pricedModel(deps, post.model ?? session.model)
  const principal = {
    ...post.principal,
    sessionIds: { ...post.principal.sessionIds, wsid: session.wsid, asid: session.asid },
  }
  const call: Omit<Call, 'signal'> = {
    principal,
    session: { id: session.id, risk: 0 },
    action: 'chat.submit',
    resource: { kind: 'session', name: session.id, effectClass: 'write', owner: principal.wallet },
    facts: { phase: 'call', arguments: content },
    origin: 'http',
    effectKey: `chat:${session.id}`,
    attempt: 1,
  }
  const inputTokens = await turnTokensBound(deps, post, model)
  const bound = { inputTokens, outputTokens: agent.outputTokensMax }
  const holdMicros = modelReservation(rows, plans.managed, bound)
  const body = {
    wallet: principal.wallet,
    session: session.id,
    model,
    content: JSON.parse(JSON.stringify(content)) as unknown,
    ...(runtimeScopeId === undefined ? {} : { runtimeScope: runtimeScopeId }),
  }
  return {
    post,
    principal,
    model,
    call,
    bound,
    holdMicros,
    vault: await deps.transcripts.ofSession(session.id), // before any transaction
    bodyHash: createHash('sha256').update(canonicalJson(body)).digest('hex'),
  }
}

// A model without a price that holds today is refused before anything else happens.
function pricedModel({ prices, resolveModel: resolve, clock }: TurnDoorDeps, wanted: string) {
  const model = resolve(prices, wanted)
  const rows = model === undefined ? [] : rowsOf(prices.rows, model, clock().toISOString().slice(0, 10))
  if (model === undefined || rows.length === 0)
    throw new GatewayError('model-unknown', 'The model is not known here.', { details: { model: wanted } })
  return { model, rows }
}

/** Attempts write with fences of their try: try × 1,000,000 and up. */
const fencePerTry = 1_000_000n

/** What a POST has become: the try that it submits, joins or replays. */
type Decided = Exclude<TurnDecision, { kind: 'new' | 'refuse' }>

async function decideAndBegin(deps: TurnDoorDeps, prepared: Prepared, { record, meter }: Admission): Promise<Decided> {
  const { post, bodyHash } = prepared
  const explicitKey = post.idempotencyKey !== undefined
  const key = {
    sessionId: post.session.id,
    key: explicitKey ? `key:${post.idempotencyKey}` : `body:${bodyHash}`,
    explicit: explicitKey,
    bodyHash,
  }
  const begin = async (client: Client): Promise<Decided> => {
    await record(client)
    const row: KeyRow = await lockTurnKey(client, key)
    const decision = decideTurn(row.turn, { explicitKey, sameBody: row.bodyHash === bodyHash, now: deps.clock() })
    if (decision.kind === 'refuse') throw new GatewayError(decision.code, 'The key belongs to another request.')
    if (decision.kind !== 'new' && decision.kind !== 'retry') return decision
    const turn =
      decision.kind === 'new' ? { turnId: randomUUID(), try: 1 } : { turnId: decision.turnId, try: decision.try }
    await meter()
    const reply = await beginTurn(client, orderOf(deps, prepared, turn))
    if (reply.answer !== 'ok') throw await refusalOf(deps, { client, prepared, answer: reply.answer })
    if (decision.kind === 'retry') await reopenStream(client, `turn:${turn.turnId}`, BigInt(turn.try) * fencePerTry)
    await pointTurnKey(client, { ...key, turnId: turn.turnId })
    return { kind: 'retry', ...turn }
  }
  return deps.doors.run(prepared.principal.walletId.toString(), () => inTransaction(deps.pool, begin))
}

async function admit<T>(
  { pipeline }: TurnDoorDeps,
  { call }: Prepared,
  enter: (admission: Admission) => Promise<T>,
): Promise<Extract<Answer<T>, { kind: 'done' }>> {
  const answer = await pipeline.admit(call, enter)
  if (answer.kind !== 'done') throw errorOf(answer)
  return answer
}

function orderOf(
  { prices }: TurnDoorDeps,
  { post, principal, model, call, holdMicros, bound, vault }: Prepared,
  turn: { turnId: string; try: number },
): Parameters<typeof beginTurn>[1] {
  const gate = gateOf(call)
  const { sessionIds } = principal
  const { runtimeScopeId } = post
  const step = { turnId: turn.turnId, sessionId: post.session.id, step: 1, runtimeScopeId, sessionIds }
  const message = vault.sealMessage({ turnId: turn.turnId, kind: 'user', step: 0, position: 0 }, post.content)
  const text = post.content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join(' ')
  return {
    turn: {
      id: turn.turnId,
      try: turn.try,
      sessionId: post.session.id,
      walletId: principal.walletId.toString(),
      model,
      admission: admissionOf(principal, { runtimeScopeId, agentVersion: post.agent.version }),
      message: message.content,
      messageBytes: message.bytes,
      messageImages: message.images,
      preview: vault.sealPreview(text.slice(0, previewCharsMax)).toString('base64'),
    },
    scopes: gate.map(({ scope }) => scope),
    epochs: gate.map(({ epoch }) => epoch),
    hold: {
      id: turnHoldId({ ...turn, step: 1, n: 0 }),
      revenue: 2,
      amount: holdMicros.toString(),
      code: 10,
      agentId: post.agent.id,
      workflowId: `${turn.turnId}:${turn.try}`,
      meta: { ...stepMeta(step, prices), ...bound },
    },
    queueMax: turnQueueMax,
  }
}

type Refused = { readonly client: Client; readonly prepared: Prepared; readonly answer: string }

// On the client of the transaction: a door that waits for a second connection while it holds one can wait for ever.
async function refusalOf({ prices }: TurnDoorDeps, { client, prepared, answer }: Refused): Promise<Error> {
  if (answer === 'revoked') return new GatewayError('revoked', 'A scope of the request was revoked.')
  if (answer === 'queue_full') return new GatewayError('turn-queue-full', 'Too many turns wait in this session.')
  if (answer === 'session_gone') return new GatewayError('not-found', 'There is no such session.')
  if (answer === 'stopped')
    return new GatewayError('money-stopped', 'Spending is stopped until an operator has looked.')
  const { post, principal, holdMicros } = prepared
  const refusal = await moneyRefusal(client, answer, {
    walletId: principal.walletId,
    agentId: post.agent.id,
    names: { sessionId: post.session.id, scopeId: post.runtimeScopeId },
    amountMicros: holdMicros,
    minimumMicros: prices.minimumBalanceMicros,
    now: new Date(),
  })
  return refusal ?? new InvariantError(`Beginning a turn answered ${answer}.`)
}

async function submit(
  deps: TurnDoorDeps,
  { post, principal, call }: Prepared,
  turn: { turnId: string; try: number },
): Promise<void> {
  const labels = {
    sessionId: post.session.id,
    tenantId: principal.tenant.startsWith('0x') ? `w${principal.walletId}` : principal.tenant, // never the address
    walletId: principal.walletId.toString(),
    agentId: post.agent.id,
    stepsMax: turnStepsMax, // the agent's own bound is looked at in each step: it may change between turns
    revocationScopes: gateOf(call).map(({ scope }) => scope.replace(/:0x[0-9a-f]{40}$/, `:w${principal.walletId}`)),
  }
  const idleMs = (deps.idleCloseMinutes ?? sessionIdleCloseMinutes) * 60_000
  const submitted = await deps.durable.submitTurn({ labels, turn, rollOverTurns, timeoutMs: turnAcceptMs, idleMs })
  if (submitted.kind === 'accepted') {
    // It runs whatever the row says: a refusal now would be a lie, and who asks again joins it.
    await markQueued(deps.pool, turn).catch(() => undefined)
    return
  }
  const reason = submitted.kind === 'refused' ? 'refused' : 'unaccepted'
  const ended = await endTry(deps.pool, {
    ...turn,
    from: ['submitted'],
    reason,
    voidId: voidId(turnHoldId({ ...turn, step: 1, n: 0 })),
  })
  if (!ended && !(await wasRefused(deps.pool, turn))) return // somebody took it after all: it streams
  if (submitted.kind === 'refused') throw new GatewayError(submitted.code, 'The session refused the turn.')
  throw new GatewayError('turn-not-accepted', 'Nobody took the turn; nothing was charged.', { retryAfterMs: 2_000 })
}

// A joiner of the same try may have ended it a moment before.
async function wasRefused(pool: Pool, turn: { turnId: string; try: number }): Promise<boolean> {
  const known = await readTryState(pool, turn)
  return known?.state === 'ended' && ['refused', 'unaccepted', 'swept'].includes(known.reason ?? '')
}
