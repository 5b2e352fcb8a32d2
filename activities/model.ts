// One model call of a turn: through the pipeline, streamed to the token bus, recorded and charged in one transaction.
// Whoever runs it again finds the stored message and calls nobody.
import { Context } from '@temporalio/activity'
import { excessId, postId, turnHoldId } from '../crypto/turn-ids.ts'
import {
  insertMessage,
  lockTurn,
  postHold,
  readHold,
  readMessage,
  readTranscript,
  writeTotals,
  type TurnFacts,
} from '../db/turn-step.ts'
import { GatewayError, invariant } from '../domain/errors.ts'
import { heartbeatMs, historyBytesMax, historyMessagesMax, toolCallsPerStepMax } from '../domain/limits.ts'
import { picos } from '../domain/money.ts'
import { baseCost, modelReservation, noUsage, planCost, plans, rowsOf, stepPosting } from '../domain/pricing.ts'
import { splitToolName } from '../domain/tool.ts'
import type { Call, EffectResult } from '../gateway/call.ts'
import type { Recorder } from '../gateway/ports.ts'
import { Blocks, type Block, type ModelRequest, type ModelUsage } from '../schemas/model.ts'
import { turnStreamId } from '../workflows/contract.ts'
import { createDeltaWriter } from './deltas.ts'
import type { ActivityDeps } from './deps.ts'
import { toFailure } from './failure.ts'
import { messagesOf } from './transcript.ts'
import { tryName, turnContext, type StepRef, type TurnContext } from './turn-context.ts'

export type ToolCallRef = { readonly toolCallId: string; readonly position: number }
export type ModelOutcome =
  | { readonly kind: 'final' }
  | { readonly kind: 'tools'; readonly calls: readonly ToolCallRef[] }

export type ModelActivities = ReturnType<typeof createModelActivities>

/** What one answer amounted to. `stopped`: cut by a cancel or a revocation after something was produced. */
type Answered = {
  readonly blocks: readonly Block[]
  readonly usage: ModelUsage
  readonly stopReason: string
  readonly stopped: boolean
}

export function createModelActivities(deps: ActivityDeps) {
  return {
    async callModel(ref: StepRef): Promise<ModelOutcome> {
      try {
        return await callModel(deps, ref)
      } catch (error) {
        const context = Context.current()
        if (context.cancellationSignal.aborted) await context.cancelled // throws the CancelledFailure
        throw toFailure(error)
      }
    },
  }
}

async function callModel(deps: ActivityDeps, ref: StepRef): Promise<ModelOutcome> {
  const stored = await readMessage(deps.pool, { turnId: ref.turnId, kind: 'assistant', step: ref.step, position: 0 })
  if (stored) return outcomeOf(Blocks.parse(stored.content))
  const context = Context.current()
  const beat = setInterval(() => context.heartbeat(), heartbeatMs)
  try {
    deps.crashPoint('model-before-attempt')
    const facts = await turnContext(deps, ref.turnId)
    const request = await requestOf(deps, ref, facts)
    const call = await callOf(deps, { ref, facts, request })
    if (context.info.attempt > 1) await announceRestart(deps, ref)
    const answer = await deps.pipeline.run(call, (effect) => answerOnce(deps, { ref, facts, request, ...effect }))
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

// An attempt of a later number fences out the earlier one; readers drop what that one said of this step.
const fenceOf = (ref: StepRef) =>
  BigInt(ref.try * 1_000_000 + ref.step * 1_000 + Math.min(Context.current().info.attempt, 999))

async function announceRestart({ bus }: ActivityDeps, ref: StepRef): Promise<void> {
  const body = { code: 'attempt_restarted', step: ref.step }
  await bus.append({ streamId: turnStreamId(ref.turnId), kind: 'attempt_started', body, fence: fenceOf(ref) })
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

type Order = { readonly ref: StepRef; readonly facts: TurnContext; readonly request: ModelRequest }

async function callOf(deps: ActivityDeps, { ref, facts, request }: Order): Promise<Call> {
  const { turn, agent, principal } = facts
  const holdId = turnHoldId({ ...ref, n: 0 })
  // The first step's hold was taken at the door; a repeated attempt meets its own. Either way the amount stands.
  const inputTokens = Buffer.byteLength(JSON.stringify(request))
  const bound = { inputTokens, outputTokens: agent.outputTokensMax }
  const amountMicros =
    (await readHold(deps.pool, holdId)) ??
    modelReservation(rowsOf(deps.prices.rows, turn.model, deps.today()), plans.managed, bound)
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
      id: holdId,
      revenue: 2,
      amountMicros,
      code: 10,
      agentId: agent.id,
      workflowId: tryName(ref),
      meta: { turnId: ref.turnId, step: ref.step },
    },
    signal: Context.current().cancellationSignal,
  }
}

type Answering = Order & { readonly attemptId: string; readonly signal: AbortSignal }

async function answerOnce(deps: ActivityDeps, answering: Answering): Promise<EffectResult<Answered>> {
  const { ref, facts } = answering
  const answered = await readAnswer(deps, answering)
  deps.crashPoint('model-before-record')
  const rows = rowsOf(deps.prices.rows, facts.turn.model, deps.today())
  const base = baseCost(rows, answered.usage)
  return {
    value: answered,
    output: answered.blocks,
    usage: { ...answered.usage },
    record: recordAnswer(deps, { ref, answered, stepPicos: planCost(plans.managed, base, 0) }),
  }
}

// Streams the answer. A cut by our own signal after something was produced is an answer too: it is stored and billed.
async function readAnswer(deps: ActivityDeps, { ref, request, signal, attemptId }: Answering): Promise<Answered> {
  const stream = { streamId: turnStreamId(ref.turnId), fence: fenceOf(ref) }
  const writer = createDeltaWriter(deps.bus, stream)
  const blocks: Block[] = []
  let usage: ModelUsage = { ...noUsage }
  let stopReason = 'unknown'
  let text = ''
  let stopped = false
  try {
    for await (const event of deps.model.stream(request, { signal, headers: { 'x-gatehouse-attempt': attemptId } })) {
      if (event.type === 'usage') usage = event.usage
      else if (event.type === 'stop') stopReason = event.reason
      else if (event.type === 'tool_use')
        blocks.push({ type: 'tool_use', id: event.id, name: event.name, input: event.input })
      else {
        await writer.write(event.type === 'text' ? 'delta' : 'thinking', event.text)
        text += event.type === 'text' ? event.text : ''
        deps.crashPoint('model-mid-stream')
      }
    }
  } catch (error) {
    if (!signal.aborted || text === '') throw error
    stopped = true
    stopReason = 'cancelled'
    // The vendor's count of output comes at the end; what was streamed until the cut is bounded below by its bytes / 4.
    usage = { ...usage, outputTokens: Math.max(usage.outputTokens, Math.ceil(Buffer.byteLength(text) / 4)) }
  }
  await writer.flush()
  const calls = stopped ? [] : blocks.slice(0, toolCallsPerStepMax)
  for (const call of calls) {
    if (call.type !== 'tool_use') continue
    const name = splitToolName(call.name)
    await deps.bus.append({
      ...stream,
      kind: 'tool_call',
      body: { id: call.id, name: call.name, displayName: name?.tool ?? call.name, args: call.input },
    })
  }
  const said: Block[] = text === '' ? [] : [{ type: 'text', text }]
  return { blocks: [...said, ...calls], usage, stopReason, stopped }
}

type Recording = { readonly ref: StepRef; readonly answered: Answered; readonly stepPicos: bigint }

// Message row, totals and posting: one transaction with the attempt's end. The turn's row lock orders parallel steps.
function recordAnswer(deps: ActivityDeps, { ref, answered, stepPicos }: Recording): Recorder {
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
    const holdId = turnHoldId({ ...ref, n: 0 })
    const amountMicros = totals.postedMicros - turn.postedMicros
    const meta = {
      turnId: ref.turnId,
      step: ref.step,
      model: turn.model,
      picos: stepPicos.toString(),
      plan: plans.managed.id,
    }
    const posted = await postHold(client, {
      postId: postId(holdId),
      holdId,
      excessId: excessId(holdId),
      amountMicros,
      code: 10,
      meta,
    })
    invariant(posted === 'ok', `Posting a model step answered ${posted}.`)
    deps.events.chargePosted({ kind: 'model', micros: amountMicros, turnId: ref.turnId })
  }
}

/** Totals after one more step; what is posted is the growth of the rounded sum. */
export function totalsAfter(
  turn: TurnFacts,
  added: { readonly picosAdded: bigint; readonly usage: ModelUsage; readonly toolCalls: number },
) {
  const costPicos = turn.costPicos + added.picosAdded
  const { usage } = added
  const inputTokens = usage.inputTokens + usage.cacheReadTokens + usage.cacheWrite5mTokens + usage.cacheWrite1hTokens
  return {
    costPicos,
    postedMicros: turn.postedMicros + stepPosting(picos(turn.costPicos), picos(costPicos)),
    inputTokens: turn.inputTokens + BigInt(inputTokens),
    outputTokens: turn.outputTokens + BigInt(usage.outputTokens),
    toolCalls: turn.toolCalls + added.toolCalls,
  }
}
