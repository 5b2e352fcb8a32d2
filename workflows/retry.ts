// Named retry policies of the activities, each with its reason.
import type { ActivityOptions } from '@temporalio/common'
import { queues } from './contract.ts'

/** A model call may fail for minutes at the vendor; `Retry-After` arrives as the next delay. Heartbeats show a cancel. */
export const modelCalls: ActivityOptions = {
  taskQueue: queues.llm,
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '5 seconds',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED', // what was streamed is recorded and billed
  retry: { maximumAttempts: 5, initialInterval: '1 second', maximumInterval: '60 seconds', backoffCoefficient: 2 },
}

/** A read may be repeated; refusals are final by their type. */
export const toolReads: ActivityOptions = {
  taskQueue: queues.tools,
  startToCloseTimeout: '75 seconds',
  heartbeatTimeout: '5 seconds',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: { maximumAttempts: 3, initialInterval: '1 second', maximumInterval: '10 seconds', backoffCoefficient: 2 },
}

/** Rows of our own database: repeated until it is there again, because money and answers hang on them. */
export const ledgerSteps: ActivityOptions = {
  taskQueue: queues.ledger,
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '100 milliseconds', maximumInterval: '30 seconds', backoffCoefficient: 2 },
}
