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
import type { ModelActivities } from '../activities/model.ts'
import type { ToolActivities } from '../activities/tool.ts'
import type { TurnActivities } from '../activities/turn.ts'
import type { TurnInput } from './contract.ts'
import { ledgerSteps, modelCalls, toolReads } from './retry.ts'

const { callModel } = proxyActivities<ModelActivities>(modelCalls)
const { callTool } = proxyActivities<ToolActivities>(toolReads)
const { finishTurn, failTurn } = proxyActivities<TurnActivities>(ledgerSteps)

/** Runs the turn. Never fails for a reason of the turn itself: that is written to its rows and told to its readers. */
export async function agentTurn(input: TurnInput): Promise<void> {
  const { turnId, try: attempt } = input
  try {
    const stopped = await converse(input)
    setCurrentDetails(stopped === null ? 'The answer is complete.' : `Stopped: ${stopped}.`)
    await finishTurn({ turnId, try: attempt, stopped })
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
    setCurrentDetails(`Step ${step}: ${outcome.calls.length} tool call(s) run.`)
    await Promise.all(outcome.calls.map((call) => callTool({ turnId, try: attempt, step, ...call })))
  }
  return `the limit of ${input.stepsMax} steps was reached`
}

function codeOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error
  return cause instanceof ApplicationFailure && cause.type ? cause.type : 'internal'
}
