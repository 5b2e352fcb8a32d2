// One try of one turn: model and tools in turn until an answer, a limit or a failure. Holds ids only; every step charges
// and records itself, so that whoever repeats it finds it done.
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  upsertSearchAttributes,
} from '@temporalio/workflow'
import type { ModelActivities, ToolCallRef } from '../activities/model.ts'
import type { ToolActivities } from '../activities/tool.ts'
import type { TurnActivities } from '../activities/turn.ts'
import type { TurnInput } from './contract.ts'
import { ledgerSteps, modelCalls, toolCalls } from './retry.ts'

const { callModel } = proxyActivities<ModelActivities>(modelCalls)
const { callTool } = proxyActivities<ToolActivities>(toolCalls)
const { finishTurn, failTurn } = proxyActivities<TurnActivities>(ledgerSteps)

/** Runs the turn. Never fails for a reason of the turn itself: that is written to its rows and told to its readers. */
export async function agentTurn(input: TurnInput): Promise<void> {
  const { turnId, try: attempt } = input
  try {
    const stopped = await converse(input)
    setCurrentDetails(stopped === null ? 'The answer is complete.' : `Stopped: ${stopped}`)
    // The answer stands: a cancel that arrives now is too late.
    await CancellationScope.nonCancellable(() => finishTurn({ turnId, try: attempt, stopped }))
  } catch (error) {
    const code = isCancellation(error) ? 'turn-cancelled' : codeOf(error)
    setCurrentDetails(`Ended with ${code}.`)
    await CancellationScope.nonCancellable(() => failTurn({ turnId, try: attempt, code }))
  }
  upsertSearchAttributes({ State: ['ended'] })
}

// Answers null for a complete answer, or why it stopped short.
async function converse(input: TurnInput): Promise<string | null> {
  const { turnId, try: attempt } = input
  for (let step = 1; step <= input.stepsMax; step += 1) {
    setCurrentDetails(`Step ${step}: the model is answering.`)
    const outcome = await callModel({ turnId, try: attempt, step })
    if (outcome.kind === 'final') return null
    if (outcome.kind === 'stopped') return outcome.reason
    setCurrentDetails(`Step ${step}: ${outcome.calls.length} tool call(s) run.`)
    await runTools(input, step, outcome.calls)
  }
  return `The limit of ${input.stepsMax} steps was reached.`
}

// All calls of a step at once. When one ends the turn the others are cancelled and waited for: nothing may still run
// while the turn is being closed.
async function runTools(input: TurnInput, step: number, calls: readonly ToolCallRef[]): Promise<void> {
  const { turnId, try: attempt } = input
  const scope = new CancellationScope()
  const ends = await scope.run(() =>
    Promise.all(
      calls.map(async (call) => {
        try {
          await callTool({ turnId, try: attempt, step, ...call })
          return undefined
        } catch (error) {
          scope.cancel()
          return { error }
        }
      }),
    ),
  )
  const faults = ends.filter((end) => end !== undefined)
  const first = faults.find(({ error }) => !isCancellation(error)) ?? faults[0]
  if (first) throw first.error
}

function codeOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error
  return cause instanceof ApplicationFailure && cause.type ? cause.type : 'internal'
}
