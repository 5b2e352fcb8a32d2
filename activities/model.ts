// One model call of a turn: through the pipeline, streamed to the token bus, recorded and charged in one transaction.
// Whoever runs it again finds the stored message and calls nobody.
import { Context } from '@temporalio/activity'
import { insertMessage, lockTurn, readMessage, readTranscript, stepBeginning, writeTotals } from '../db/turn-step.ts'
import { GatewayError, invariant } from '../domain/errors.ts'
import { heartbeatMs, historyBytesMax, historyMessagesMax } from '../domain/limits.ts'
import { baseCost, modelReservation, planCost, plans, rowsOf } from '../domain/pricing.ts'
import type { Call, EffectResult } from '../gateway/call.ts'
import type { Recorder } from '../gateway/ports.ts'
import { tokensOfRequest } from '../gateway/token-bound.ts'
import { Blocks, type Block, type ModelRequest } from '../schemas/model.ts'
import { turnStreamId } from '../workflows/contract.ts'
import { fenceOf, readAnswer, type Answered } from './answer.ts'
import { chargeStep, totalsAfter } from './charge.ts'
import type { ActivityDeps } from './deps.ts'
import { toFailure } from './failure.ts'
import { holdOfStep, type StepHold } from './model-hold.ts'
import { messagesOf } from './transcript.ts'
import { tryName, turnContext, type StepRef, type TurnContext } from './turn-context.ts'

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
  if (stored) return outcomeOf(Blocks.parse(stored.content))
  const context = Context.current()
  const beat = setInterval(() => context.heartbeat(), heartbeatMs)
  try {
    deps.crashPoint('model-before-attempt')
    const facts = await turnContext(deps, ref.turnId)
    const { stepsMax } = facts.agent
    if (ref.step > stepsMax) return { kind: 'stopped', reason: `The agent may take ${stepsMax} steps.` }
    const request = await requestOf(deps, ref, facts)
    const hold = await holdOfStep(deps, ref, neededMicros(deps, facts, request))
    const order = { ref, facts, request, hold }
    if (context.info.attempt > 1) await announceRestart(deps, ref)
    const answer = await deps.pipeline.run(callOf(order), (effect) => answerOnce(deps, { ...order, ...effect }))
    if (answer.kind === 'held') throw new GatewayError('approval-required', answer.decision.reason)
    if (answer.kind === 'refused') throw new GatewayError(answer.code, answer.reason)
    deps.crashPoint('model-after-record')
    if (answer.value.stopped) throw new GatewayError('revoked', 'The turn was stopped.')
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
  { turn, agent, principal }: TurnContext,
): Promise<ModelRequest> {
  const rows = await readTranscript(deps.pool, {
    sessionId: turn.sessionId,
    turnId: ref.turnId,
    limit: historyMessagesMax,
  })
  const skills = agent.skills.map((skill) => `## ${skill.title}\n${skill.text}`)
  return {
    model: turn.model,
    maxTokens: agent.outputTokensMax,
    system: [agent.systemPrompt, ...skills].join('\n\n'),
    messages: messagesOf(rows, historyBytesMax),
    tools: await deps.offer.offered(principal, agent.servers, Context.current().cancellationSignal),
  }
}

function neededMicros({ prices, today }: ActivityDeps, { turn, agent }: TurnContext, request: ModelRequest): bigint {
  const bound = { inputTokens: tokensOfRequest(request), outputTokens: agent.outputTokensMax }
  return modelReservation(rowsOf(prices.rows, turn.model, today()), plans.managed, bound)
}

type Order = {
  readonly ref: StepRef
  readonly facts: TurnContext
  readonly request: ModelRequest
  readonly hold: StepHold
}

function callOf({ ref, facts, request, hold }: Order): Call {
  const { turn, agent, principal } = facts
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
    hold: {
      ...hold,
      revenue: 2,
      code: 10,
      agentId: agent.id,
      workflowId: tryName(ref),
      meta: { turnId: ref.turnId, sessionId: turn.sessionId, step: ref.step },
    },
    signal: Context.current().cancellationSignal,
  }
}

type Answering = Order & { readonly attemptId: string; readonly signal: AbortSignal }

async function answerOnce(deps: ActivityDeps, answering: Answering): Promise<EffectResult<Answered>> {
  const { ref, facts, hold } = answering
  const about = { 'gatehouse.turn': ref.turnId, 'gatehouse.step': ref.step, 'gatehouse.model': facts.turn.model }
  const answered = await deps.tracing.span('upstream model', about, () => readAnswer(deps, answering))
  deps.crashPoint('model-before-record')
  const rows = rowsOf(deps.prices.rows, facts.turn.model, deps.today())
  const base = baseCost(rows, answered.usage)
  return {
    value: answered,
    output: answered.blocks,
    usage: { ...answered.usage },
    record: recordAnswer(deps, { ref, hold, answered, stepPicos: planCost(plans.managed, base, 0) }),
  }
}

type Recording = Pick<Order, 'ref' | 'hold'> & { readonly answered: Answered; readonly stepPicos: bigint }

// Message row, totals and posting: one transaction with the attempt's end. The turn's row lock orders parallel steps.
function recordAnswer(deps: ActivityDeps, { ref, hold, answered, stepPicos }: Recording): Recorder {
  return async (client) => {
    const turn = await lockTurn(client, ref.turnId)
    invariant(turn, 'A running turn exists.')
    const { usage, blocks, stopReason } = answered
    const message = {
      sessionId: turn.sessionId,
      turnId: ref.turnId,
      kind: 'assistant',
      step: ref.step,
      position: 0,
      content: blocks,
      stopReason,
      usage,
    } as const
    if (!(await insertMessage(client, message)))
      throw new GatewayError('turn-conflict', 'The step was recorded by another attempt.')
    const totals = totalsAfter(turn, { picosAdded: stepPicos, usage, toolCalls: 0 })
    await writeTotals(client, ref.turnId, totals)
    const meta = {
      turnId: ref.turnId,
      sessionId: turn.sessionId,
      step: ref.step,
      model: turn.model,
      picos: stepPicos.toString(),
      plan: plans.managed.id,
    }
    await chargeStep(deps, client, { turn, totals, holdId: hold.id, kind: 'model', meta })
  }
}
