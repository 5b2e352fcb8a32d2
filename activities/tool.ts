// One tool call of a turn, through the same pipeline as any other. A refusal or a failure becomes a result that the
// model reads; only a stop of the whole turn ends it.
import { Context } from '@temporalio/activity'
import { turnHoldId, voidId } from '../crypto/turn-ids.ts'
import {
  insertMessage,
  lockTurn,
  readMessage,
  voidHold,
  wasAttempted,
  writeTotals,
  type NewMessage,
  type TurnFacts,
} from '../db/turn-step.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError, invariant, type ErrorCode } from '../domain/errors.ts'
import { heartbeatMs, toolAttemptsMax, toolCallMs, toolCallsPerTurnMax } from '../domain/limits.ts'
import { noUsage, plans, toolReservation } from '../domain/pricing.ts'
import { isOnBelt, splitToolName } from '../domain/tool.ts'
import { codeOfRequirement } from '../gateway/answer.ts'
import type { Answer, Call, EffectResult } from '../gateway/call.ts'
import { stepMeta } from '../gateway/hold-meta.ts'
import type { Recorder } from '../gateway/ports.ts'
import type { KnownTool } from '../gateway/tool-offer.ts'
import type { Vault } from '../gateway/transcripts.ts'
import { Blocks } from '../schemas/model.ts'
import type { ShownOutcome, ToolOutcome } from '../schemas/tool.ts'
import { turnStreamId } from '../workflows/contract.ts'
import { chargeStep, totalsAfter } from './charge.ts'
import type { ActivityDeps } from './deps.ts'
import { shownOf } from './shown-result.ts'
import { toFailure, verdictOf } from './failure.ts'
import type { ToolCallRef } from './model.ts'
import { spanFacts, tryName, turnContext, type StepRef, type TurnContext } from './turn-context.ts'

export type ToolActivities = ReturnType<typeof createToolActivities>

type Asked = {
  readonly ref: StepRef & ToolCallRef
  readonly name: string
  readonly input: unknown
  readonly vault: Vault
}

export function createToolActivities(deps: ActivityDeps) {
  return {
    async callTool(ref: StepRef & ToolCallRef): Promise<void> {
      const context = Context.current()
      const beat = setInterval(() => context.heartbeat(), heartbeatMs)
      try {
        await callTool(deps, ref)
      } catch (error) {
        if (context.cancellationDetails?.cancelRequested === true) await context.cancelled
        throw toFailure(error)
      } finally {
        clearInterval(beat)
      }
    },
  }
}

async function callTool(deps: ActivityDeps, ref: StepRef & ToolCallRef): Promise<void> {
  const asked = await readAsked(deps, ref)
  const stored = await readMessage(deps.pool, {
    turnId: ref.turnId,
    kind: 'tool',
    step: ref.step,
    position: ref.position,
  })
  if (stored) return tell(deps, asked, outcomeOfRow(asked.vault.openMessage(stored)))
  const facts = await turnContext(deps, ref.turnId)
  const outcome = await runTool(deps, asked, facts)
  deps.crashPoint('tool-after-record')
  await tell(deps, asked, outcome)
}

async function readAsked(deps: ActivityDeps, ref: StepRef & ToolCallRef): Promise<Asked> {
  const row = await readMessage(deps.pool, { turnId: ref.turnId, kind: 'assistant', step: ref.step, position: 0 })
  const vault = await deps.transcripts.ofTurn(ref.turnId)
  const block = Blocks.parse(row ? vault.openMessage(row) : []).find(
    (each) => each.type === 'tool_use' && each.id === ref.toolCallId,
  )
  invariant(block?.type === 'tool_use', 'A tool call was asked for in a stored message.')
  return { ref, name: block.name, input: block.input, vault }
}

function outcomeOfRow(content: unknown): ShownOutcome {
  const [block] = Blocks.parse(content)
  invariant(block?.type === 'tool_result', 'A tool message holds its result.')
  const { content: text, isError, wholeBytes } = block
  return { text, isError, ...(wholeBytes === undefined ? {} : { wholeBytes }) }
}

async function tell({ bus }: ActivityDeps, { ref, name }: Asked, { text, ...about }: ShownOutcome): Promise<void> {
  const body = { id: ref.toolCallId, name, result: text, ...about }
  await bus.append({ streamId: turnStreamId(ref.turnId), kind: 'tool_result', body })
}

async function runTool(deps: ActivityDeps, asked: Asked, facts: TurnContext): Promise<ShownOutcome> {
  let repeatable = true
  try {
    const tool = await knownTool(deps, asked, facts)
    if ('isError' in tool) return await recordRefusal(deps, asked, tool)
    repeatable = tool.effectClass === 'read'
    // A write that was begun before and left no result may have happened: nobody calls it again.
    if (!repeatable && (await wasAttempted(deps.pool, effectKeyOf(asked.ref))))
      throw new GatewayError('tool-failed', 'Nobody knows whether this call happened; it is not repeated.')
    const answer = await deps.pipeline.run(callOf(deps, asked, { ...facts, tool }), (effect) =>
      callOnce(deps, { asked, tool, about: spanFacts(facts.principal, asked.ref), ...effect }),
    )
    return answer.kind === 'done' ? answer.value : await recordRefusal(deps, asked, refusalOf(answer))
  } catch (error) {
    if (!isResult(error, repeatable)) throw error
    return recordRefusal(deps, asked, { text: `${error.code}: ${error.message}`, isError: true })
  }
}

type Calling = {
  readonly asked: Asked
  readonly tool: KnownTool
  readonly about: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

async function callOnce(deps: ActivityDeps, calling: Calling): Promise<EffectResult<ShownOutcome>> {
  const { asked, tool, signal } = calling
  const order = { server: tool.server, tool: tool.name, args: asked.input, signal, timeoutMs: toolCallMs }
  const about = { ...calling.about, 'gatehouse.tool': `${tool.server}/${tool.name}` }
  const outcome = await deps.tracing.span('upstream tool', about, () => deps.tools.call(order))
  deps.crashPoint('tool-before-record')
  const shown = shownOf(outcome)
  return { value: shown, output: outcome.text, record: recordOutcome(deps, asked, { outcome, shown }) }
}

/** Codes that concern the turn or the try, not the tool: no model may read its way around them. */
const turnCodes: readonly ErrorCode[] = [
  'revoked',
  'revocation-feed-stale',
  'turn-cancelled',
  'turn-conflict',
  'insufficient-funds',
  'budget-exceeded',
  'minimum-balance',
  'scope-inactive',
  'money-stopped',
  'database-unavailable',
  'evidence-unavailable',
]

// Whether the model is told now. A read that may succeed later is tried again first.
function isResult(error: unknown, repeatable: boolean): error is GatewayError {
  const { cancellationSignal, info } = Context.current()
  if (!(error instanceof GatewayError) || turnCodes.includes(error.code) || cancellationSignal.aborted) return false
  return !(repeatable && verdictOf(error.code) === 'retryable' && info.attempt < toolAttemptsMax)
}

// A model may name anything; only what a server of this agent lists now is called.
async function knownTool(
  deps: ActivityDeps,
  { name, ref }: Asked,
  { agent, turn }: TurnContext,
): Promise<KnownTool | ToolOutcome> {
  const split = splitToolName(name)
  const listed = split && isOnBelt(agent, split.server, split.tool)
  const tool = listed
    ? await deps.offer.find(split.server, split.tool, Context.current().cancellationSignal)
    : undefined
  if (!tool) return { text: `tool-unknown: there is no tool ${name} here.`, isError: true }
  if (turn.toolCalls + ref.position >= toolCallsPerTurnMax)
    return { text: `The turn may make ${toolCallsPerTurnMax} tool calls.`, isError: true }
  return tool
}

function refusalOf(answer: Exclude<Answer<ShownOutcome>, { kind: 'done' }>): ToolOutcome {
  if (answer.kind === 'held') {
    return {
      text: `${codeOfRequirement[answer.decision.requirement]} (${answer.decision.ruleIds.join(', ')}): ${answer.decision.reason}`,
      isError: true,
    }
  }
  if (turnCodes.includes(answer.code)) throw new GatewayError(answer.code, answer.reason)
  const rules = answer.decision?.ruleIds.join(', ') ?? ''
  return { text: `${answer.code}${rules === '' ? '' : ` (${rules})`}: ${answer.reason}`, isError: true }
}

const effectKeyOf = (ref: StepRef & ToolCallRef) => `${ref.turnId}:${ref.toolCallId}`

function callOf(
  { prices }: ActivityDeps,
  { ref, input }: Asked,
  { turn, agent, principal, runtimeScopeId, tool }: TurnContext & { readonly tool: KnownTool },
): Call {
  const holdId = turnHoldId({ ...ref, n: 0 })
  const reference = `${tool.server}/${tool.name}`
  const { sessionIds } = principal
  const step = { turnId: ref.turnId, sessionId: turn.sessionId, step: ref.step, runtimeScopeId, sessionIds }
  return {
    principal,
    session: { id: turn.sessionId, risk: 0 },
    action: 'tool.call',
    resource: { kind: 'tool', name: reference, effectClass: tool.effectClass, owner: turn.wallet },
    facts: { phase: 'call', arguments: input },
    origin: 'chat',
    effectKey: effectKeyOf(ref),
    attempt: Context.current().info.attempt,
    turn: { turnId: ref.turnId, try: ref.try, step: ref.step },
    hold: {
      id: holdId,
      revenue: 3,
      amountMicros: toolReservation(plans.managed),
      code: 11,
      agentId: agent.id,
      workflowId: tryName(ref),
      meta: { ...stepMeta(step, prices), tool: reference },
    },
    signal: Context.current().cancellationSignal,
  }
}

type Told = { readonly outcome: ToolOutcome; readonly shown: ShownOutcome }

function resultRow({ sessionId }: TurnFacts, { ref, vault }: Asked, { outcome, shown }: Told): NewMessage {
  const { turnId, step, position } = ref
  const place = { turnId, kind: 'tool', step, position } as const
  const { text: content, ...about } = shown
  const sealed = vault.sealMessage(place, [{ type: 'tool_result', toolUseId: ref.toolCallId, content, ...about }])
  const { wholeBytes } = shown
  const whole =
    wholeBytes === undefined ? undefined : { sealed: vault.sealWhole(place, outcome.text), bytes: wholeBytes }
  return { ...place, sessionId, sealed, whole, stopReason: null, usage: undefined }
}

// A tool that answered is charged, also when its answer is an error of its own: a usable result reached the caller.
function recordOutcome(deps: ActivityDeps, asked: Asked, told: Told): Recorder {
  const { ref } = asked
  return async (client) => {
    const turn = await lockTurn(client, ref.turnId)
    invariant(turn, 'A running turn exists.')
    if (!(await insertMessage(client, resultRow(turn, asked, told))))
      throw new GatewayError('turn-conflict', 'The call was recorded by another attempt.')
    const stepPicos = plans.managed.picosPerToolCall
    const totals = { ...totalsAfter(turn, { picosAdded: stepPicos, usage: noUsage, toolCalls: 1 }), isOutput: true }
    await writeTotals(client, ref.turnId, totals)
    const { turnId, step } = ref
    const picos = stepPicos.toString()
    const meta = { turnId, sessionId: turn.sessionId, step, picos, plan: plans.managed.id }
    await chargeStep(deps, client, { turn, totals, holdId: turnHoldId({ ...ref, n: 0 }), kind: 'tool', meta })
  }
}

// Nothing usable came back: the model reads why, the hold is voided, nothing is charged.
async function recordRefusal(deps: ActivityDeps, asked: Asked, outcome: ToolOutcome): Promise<ToolOutcome> {
  const { ref } = asked
  await inTransaction(deps.pool, async (client) => {
    const turn = await lockTurn(client, ref.turnId)
    invariant(turn, 'A running turn exists.')
    const holdId = turnHoldId({ ...ref, n: 0 })
    await voidHold(client, { voidId: voidId(holdId), holdId, reason: 'no-result' })
    await insertMessage(client, resultRow(turn, asked, { outcome, shown: outcome }))
  })
  return outcome
}
