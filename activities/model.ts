// One model call of a turn: through the pipeline, streamed to the token bus, recorded and charged in one transaction.
// Whoever runs it again finds the stored message and calls nobody.
import { Context } from '@temporalio/activity'
import { insertMessage, lockTurn, readMessage, readTranscript, stepBeginning } from '../db/turn-step.ts'
import { GatewayError, invariant, isErrorCode } from '../domain/errors.ts'
import { heartbeatMs, historyMessagesMax, historyTokensMax } from '../domain/limits.ts'
import { contextTokensOf, modelReservation, plans, rowsOf, type ModelPrice } from '../domain/pricing.ts'
import { instructionsOf } from '../gateway/agent-directory.ts'
import { errorOf } from '../gateway/answer.ts'
import type { Call, EffectResult } from '../gateway/call.ts'
import { stepMeta } from '../gateway/hold-meta.ts'
import type { Recorder } from '../gateway/ports.ts'
import { tokensExpected, tokensLikely, tokensOfRequest } from '../gateway/token-bound.ts'
import type { Vault } from '../gateway/transcripts.ts'
import { Blocks, type Block, type ModelRequest } from '../schemas/model.ts'
import { turnStreamId } from '../workflows/contract.ts'
import { fenceOf, readAnswer, type Answered } from './answer.ts'
import { chargeModel, modelPicos } from './charge.ts'
import type { ActivityDeps } from './deps.ts'
import { toFailure } from './failure.ts'
import { holdOfStep, type StepHold } from './model-hold.ts'
import { messagesOf } from './transcript.ts'
import { spanFacts, tryName, turnContext, type StepRef, type TurnContext } from './turn-context.ts'

export type ToolCallRef = { readonly toolCallId: string; readonly position: number }
export type ModelOutcome =
  | { readonly kind: 'final' }
  | { readonly kind: 'tools'; readonly calls: readonly ToolCallRef[] }
  /** A limit of the agent was reached before this step; nothing was called. */
  | { readonly kind: 'stopped'; readonly reason: string }

export type ModelActivities = ReturnType<typeof createModelActivities>

export function createModelActivities(deps: ActivityDeps) {
  return {
    async callModel(ref: StepRef): Promise<ModelOutcome> {
      try {
        return await callModel(deps, ref)
      } catch (error) {
        const context = Context.current()
        if (context.cancellationDetails?.cancelRequested === true) await context.cancelled // throws the CancelledFailure
        throw toFailure(error)
      }
    },
  }
}

async function callModel(deps: ActivityDeps, ref: StepRef): Promise<ModelOutcome> {
  const stored = await readMessage(deps.pool, { turnId: ref.turnId, kind: 'assistant', step: ref.step, position: 0 })
  if (stored?.stopReason === 'cancelled') throw new GatewayError('turn-cancelled', 'The turn was stopped.')
  if (isErrorCode(stored?.stopReason)) throw new GatewayError(stored.stopReason, 'The model was cut off.')
  const vault = await deps.transcripts.ofTurn(ref.turnId)
  if (stored) return outcomeOf(Blocks.parse(vault.openMessage(stored)))
  const context = Context.current()
  const beat = setInterval(() => context.heartbeat(), heartbeatMs)
  try {
    deps.crashPoint('model-before-attempt')
    const facts = await turnContext(deps, ref.turnId)
    const { stepsMax } = facts.agent
    if (ref.step > stepsMax) return { kind: 'stopped', reason: `The agent may take ${stepsMax} steps.` }
    const request = await requestOf(deps, ref, { ...facts, vault })
    const hold = await holdOfStep(deps, ref, neededMicros(deps, facts, request))
    const order = { ref, facts, request, hold, vault }
    if (context.info.attempt > 1) await announceRestart(deps, ref)
    const answer = await deps.pipeline.run(callOf(deps, order), (effect) => answerOnce(deps, { ...order, ...effect }))
    if (answer.kind !== 'done') throw errorOf(answer)
    deps.crashPoint('model-after-record')
    return outcomeOf(answer.value.blocks)
  } finally {
    clearInterval(beat)
  }
}

function outcomeOf(blocks: readonly Block[]): ModelOutcome {
  const calls = blocks.flatMap((block) => (block.type === 'tool_use' ? [block.id] : []))
  if (calls.length === 0) return { kind: 'final' }
  return { kind: 'tools', calls: calls.map((toolCallId, position) => ({ toolCallId, position })) }
}

async function announceRestart({ bus, pool }: ActivityDeps, ref: StepRef): Promise<void> {
  const streamId = turnStreamId(ref.turnId)
  const body = { code: 'attempt_restarted', discardFromSeq: Number(await stepBeginning(pool, streamId)) }
  await bus.append({ streamId, kind: 'attempt_started', body, fence: fenceOf(ref) })
}

async function requestOf(
  deps: ActivityDeps,
  ref: StepRef,
  { turn, agent, principal, vault }: TurnContext & { readonly vault: Vault },
): Promise<ModelRequest> {
  const rows = await readTranscript(deps.pool, {
    sessionId: turn.sessionId,
    turnId: ref.turnId,
    limit: historyMessagesMax,
  })
  const opened = rows.map((row) => ({ ...row, content: vault.openMessage(row) }))
  const viewer = { principal, session: { id: turn.sessionId, risk: 0 } }
  const tools = await deps.offer.offered(viewer, agent, Context.current().cancellationSignal)
  const system = instructionsOf(agent)
  return {
    model: turn.model,
    maxTokens: agent.outputTokensMax,
    system,
    messages: messagesOf(opened, tokensLeft(deps, turn.model, { system, tools, maxTokens: agent.outputTokensMax })),
    tools,
  }
}

// What the messages may take of the model's window: the rest of it after the answer, the instructions and the tools.
function tokensLeft(
  { prices }: ActivityDeps,
  model: string,
  { system, tools, maxTokens }: Pick<ModelRequest, 'system' | 'tools' | 'maxTokens'>,
): number {
  const around = tokensLikely([{ type: 'text', text: system + JSON.stringify(tools) }])
  return Math.min(historyTokensMax, contextTokensOf(prices.contextTokens, model) - maxTokens - around)
}

function neededMicros(deps: ActivityDeps, { turn, agent }: TurnContext, request: ModelRequest): bigint {
  const inputTokens = Math.min(tokensOfRequest(request), contextTokensOf(deps.prices.contextTokens, turn.model)) // more is no request
  const bound = { inputTokens, outputTokens: agent.outputTokensMax }
  return modelReservation(pricesOf(deps, turn.model), plans.managed, bound)
}

// Its last day may have come since the door looked: without a price nobody is called.
function pricesOf(deps: ActivityDeps, model: string): ModelPrice[] {
  const rows = rowsOf(deps.prices.rows, model, deps.today())
  if (rows.length === 0) throw new GatewayError('model-unknown', 'The model has no price today.')
  return rows
}

type Order = {
  readonly ref: StepRef
  readonly facts: TurnContext
  readonly request: ModelRequest
  readonly hold: StepHold
  readonly vault: Vault
}

function callOf(deps: ActivityDeps, { ref, facts, request, hold }: Order): Call {
  const { turn, agent, principal, runtimeScopeId } = facts
  const { sessionIds } = principal
  const step = { turnId: ref.turnId, sessionId: turn.sessionId, step: ref.step, runtimeScopeId, sessionIds }
  return {
    principal,
    session: { id: turn.sessionId, risk: 0 },
    action: 'model.call',
    resource: { kind: 'model', name: turn.model, effectClass: 'read', owner: turn.wallet },
    facts: { phase: 'call', arguments: request },
    origin: 'chat',
    effectKey: `${ref.turnId}:m${ref.step}`,
    attempt: Context.current().info.attempt,
    turn: ref,
    tokens: tokensExpected(request),
    hold: {
      ...hold,
      revenue: 2,
      code: 10,
      agentId: agent.id,
      workflowId: tryName(ref),
      meta: stepMeta(step, deps.prices),
    },
    signal: Context.current().cancellationSignal,
  }
}

type Answering = Order & { readonly attemptId: string; readonly signal: AbortSignal }

async function answerOnce(deps: ActivityDeps, answering: Answering): Promise<EffectResult<Answered>> {
  const { ref, facts, hold, vault } = answering
  const about = {
    ...spanFacts(facts.principal, ref),
    'gatehouse.step': ref.step,
    'gatehouse.model': facts.turn.model,
  }
  const answered = await deps.tracing.span('upstream model', about, async (say) => {
    const read = await readAnswer(deps, answering)
    const { inputTokens, outputTokens } = read.usage
    const costPicos = modelPicos(deps, facts.turn.model, read.usage).toString()
    say({
      'gatehouse.tokens.input': inputTokens,
      'gatehouse.tokens.output': outputTokens,
      'gatehouse.cost.picos': costPicos,
    })
    return read
  })
  deps.crashPoint('model-before-record')
  const told = { value: answered, output: answered.blocks, usage: { ...answered.usage } }
  const failed = answered.cut ? { ...told, fault: answered.cut } : told
  return answered.stands ? { ...failed, record: recordAnswer(deps, { ref, hold, vault, answered }) } : failed
}

type Recording = Pick<Order, 'ref' | 'hold' | 'vault'> & { readonly answered: Answered }

// Message row, totals and posting: one transaction with the attempt's end. The turn's row lock orders parallel steps.
// A cut answer without a word leaves no message.
function recordAnswer(deps: ActivityDeps, { ref, hold, vault, answered }: Recording): Recorder {
  return async (client) => {
    const turn = await lockTurn(client, ref.turnId)
    invariant(turn, 'A running turn exists.')
    const { usage, blocks, stopReason, cut } = answered
    const place = { turnId: ref.turnId, kind: 'assistant', step: ref.step, position: 0 } as const
    const sealed = vault.sealMessage(place, blocks)
    const message = { ...place, sessionId: turn.sessionId, sealed, stopReason, usage }
    const isKept = cut === null || blocks.length > 0
    if (isKept && !(await insertMessage(client, message)))
      throw new GatewayError('turn-conflict', 'The step was recorded by another attempt.')
    await chargeModel(deps, client, { turn, holdId: hold.id, step: ref.step, usage, isKept })
  }
}
