// A turn whose steps are in another order than the recorded ones: replay must notice. Used by the replay suite only.
import { proxyActivities } from '@temporalio/workflow'
import { ledgerSteps, modelCalls } from '../../../workflows/retry.ts'

type Steps = { callModel: (order: object) => Promise<unknown>; finishTurn: (order: object) => Promise<void> }

const { callModel } = proxyActivities<Steps>(modelCalls)
const { finishTurn } = proxyActivities<Steps>(ledgerSteps)

export async function agentTurn(input: { readonly turnId: string; readonly try: number }): Promise<void> {
  await finishTurn({ turnId: input.turnId, try: input.try, stopped: null })
  await callModel({ turnId: input.turnId, try: input.try, step: 1 })
}
