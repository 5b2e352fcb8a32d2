// Named retry policies of the activities, each with its reason.
import type { ActivityOptions } from '@temporalio/common'
import { modelAttemptsMax, toolAttemptsMax } from '../domain/limits.ts'
import { queues } from './contract.ts'

/** A model call may fail for minutes at the vendor; `Retry-After` arrives as the next delay. Heartbeats show a cancel. */
export const modelCalls: ActivityOptions = {
  taskQueue: queues.llm,
  startToCloseTimeout: '11 minutes', // one more than the call itself has: what was used until its end is recorded
  heartbeatTimeout: '10 seconds',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED', // what was streamed is recorded and billed
  retry: {
    maximumAttempts: modelAttemptsMax,
    initialInterval: '1 second',
    maximumInterval: '60 seconds',
    backoffCoefficient: 2,
  },
  summary: 'The model answers',
}

/** A read may be repeated; refusals are final by their type. A write that was begun is never repeated: the activity
 * finds its attempt and tells the model that nobody knows. */
export const toolCalls: ActivityOptions = {
  taskQueue: queues.tools,
  startToCloseTimeout: '75 seconds',
  heartbeatTimeout: '10 seconds',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: {
    maximumAttempts: toolAttemptsMax,
    initialInterval: '1 second',
    maximumInterval: '10 seconds',
    backoffCoefficient: 2,
  },
  summary: 'A tool runs',
}

/** Rows of our own database: repeated until it is there again, because money and answers hang on them. */
export const ledgerSteps: ActivityOptions = {
  taskQueue: queues.ledger,
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '100 milliseconds', maximumInterval: '30 seconds', backoffCoefficient: 2 },
  summary: 'The turn is closed',
}

/** Old payloads are dropped by the page; the next run of the schedule goes on where this one stopped. */
export const auditUpkeep: ActivityOptions = {
  taskQueue: queues.batch,
  startToCloseTimeout: '2 minutes',
  retry: { maximumAttempts: 5, initialInterval: '1 second', maximumInterval: '30 seconds', backoffCoefficient: 2 },
  summary: 'Old payloads are dropped',
}

/** A page of sessions in as many transactions; the next run of the schedule finds what this one left. */
export const sessionUpkeep: ActivityOptions = {
  taskQueue: queues.batch,
  startToCloseTimeout: '5 minutes',
  retry: { maximumAttempts: 5, initialInterval: '1 second', maximumInterval: '30 seconds', backoffCoefficient: 2 },
  summary: 'Old conversations are purged',
}

/** A look at many rows: a page may take minutes, and the next run of the schedule comes anyway. */
export const ledgerUpkeep: ActivityOptions = {
  taskQueue: queues.batch,
  startToCloseTimeout: '10 minutes',
  retry: { maximumAttempts: 5, initialInterval: '1 second', maximumInterval: '30 seconds', backoffCoefficient: 2 },
  summary: 'The ledger is looked after',
}
