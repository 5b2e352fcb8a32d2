// The only user of the Temporal client: starts and messages by name, with Temporal's answers turned into our codes.
import {
  Client,
  Connection,
  isGrpcServiceError,
  WithStartWorkflowOperation,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type ClientOptions,
  type WorkflowHandle,
} from '@temporalio/client'
import { isErrorCode, type ErrorCode } from '../domain/errors.ts'
import {
  cancelTurn,
  closeSession,
  queues,
  revoked,
  sessionView,
  sessionWorkflowId,
  submitTurn,
  turnUpdateId,
  turnWorkflowId,
  type ChatSession,
  type SessionLabels,
  type SessionState,
  type TurnRef,
} from '../workflows/contract.ts'

export type SubmitOrder = {
  readonly labels: SessionLabels
  readonly turn: TurnRef
  readonly rollOverTurns: number
  readonly timeoutMs: number
  /** How long a run that is started waits for a turn before it completes. */
  readonly idleMs?: number | undefined
}

export type Submitted =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  /** Nobody said yes or no in time; it may still be taken. */
  | { readonly kind: 'unanswered' }

export type Durable = AsyncDisposable & {
  /** Delivers a turn, starting the session's workflow when it does not run. The same turn and try again joins. */
  readonly submitTurn: (order: SubmitOrder) => Promise<Submitted>
  readonly cancelTurn: (sessionId: string, turnId: string) => Promise<void>
  readonly closeSession: (sessionId: string) => Promise<void>
  readonly revokeSession: (sessionId: string, epoch: number) => Promise<void>
  /** Whether a workflow that runs will still end this try. Throws when nobody can say. */
  readonly carriesTurn: (turn: TurnRef & { readonly sessionId: string }) => Promise<boolean>
  readonly isReady: () => Promise<boolean>
}

export type DurableOptions = {
  readonly address: string
  readonly namespace: string
  /** Codec, failure converter and interceptors, the same as the workers'. */
  readonly client: Pick<ClientOptions, 'dataConverter' | 'interceptors' | 'plugins'>
}

const drainingTries = 20
const drainingMs = 100
const signalMs = 5_000

/** Connects lazily: a Temporal that is down does not keep the API from starting. */
export function createDurable(options: DurableOptions): Durable {
  const connection = Connection.lazy({ address: options.address })
  const client = new Client({ connection, namespace: options.namespace, ...options.client })
  const signal = async (
    sessionId: string,
    send: (handle: ReturnType<typeof client.workflow.getHandle>) => Promise<void>,
  ) => {
    try {
      await connection.withDeadline(Date.now() + signalMs, () =>
        send(client.workflow.getHandle(sessionWorkflowId(sessionId))),
      )
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error // nothing runs: nothing to tell
    }
  }
  return {
    submitTurn: (order) => submit(client, connection, order),
    cancelTurn: (sessionId, turnId) => signal(sessionId, (handle) => handle.signal(cancelTurn, { turnId })),
    closeSession: (sessionId) => signal(sessionId, (handle) => handle.signal(closeSession)),
    revokeSession: (sessionId, epoch) => signal(sessionId, (handle) => handle.signal(revoked, { epoch })),
    carriesTurn: (turn) => connection.withDeadline(Date.now() + signalMs, () => carries(client, turn)),
    async isReady() {
      try {
        await connection.withDeadline(Date.now() + 1_000, () => connection.workflowService.getSystemInfo({}))
        return true
      } catch {
        return false
      }
    },
    [Symbol.asyncDispose]: () => connection.close(),
  }
}

// The session first: one that is over starts no child any more.
async function carries(client: Client, turn: TurnRef & { readonly sessionId: string }): Promise<boolean> {
  const session = client.workflow.getHandle(sessionWorkflowId(turn.sessionId))
  if (await runs(session)) {
    const { queue, current } = await session.query(sessionView)
    const known = current === null ? queue : [current, ...queue]
    if (known.some((each) => each.turnId === turn.turnId && each.try === turn.try)) return true
  }
  return runs(client.workflow.getHandle(turnWorkflowId(turn)))
}

async function runs(handle: Pick<WorkflowHandle, 'describe'>): Promise<boolean> {
  try {
    return (await handle.describe()).status.name === 'RUNNING'
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false
    throw error
  }
}

async function submit(client: Client, connection: Connection, order: SubmitOrder): Promise<Submitted> {
  const deadline = Date.now() + order.timeoutMs
  for (let tries = 0; ; tries += 1) {
    const answer = await submitOnce({ client, connection, deadline }, order)
    const draining = answer.kind === 'refused' && answer.code === 'session-draining' && tries < drainingTries
    if (!draining || Date.now() + drainingMs > deadline) return answer
    await new Promise((resolve) => setTimeout(resolve, drainingMs))
  }
}

type Line = { readonly client: Client; readonly connection: Connection; readonly deadline: number }

async function submitOnce({ client, connection, deadline }: Line, order: SubmitOrder): Promise<Submitted> {
  const { labels, turn } = order
  const start = new WithStartWorkflowOperation<ChatSession>('chatSession', {
    workflowId: sessionWorkflowId(labels.sessionId),
    taskQueue: queues.durable,
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowIdConflictPolicy: 'USE_EXISTING',
    args: [beginning(order)],
    staticSummary: `Chat with ${labels.agentId}`,
    searchAttributes: {
      SessionId: [labels.sessionId],
      TenantId: [labels.tenantId],
      WalletId: [labels.walletId],
      AgentId: [labels.agentId],
      RunKind: ['session'],
      State: ['open'],
      RevocationScope: [...labels.revocationScopes],
    },
  })
  try {
    const options = {
      updateId: turnUpdateId(turn),
      args: [{ turnId: turn.turnId, try: turn.try }] as [TurnRef],
      startWorkflowOperation: start,
    }
    await connection.withDeadline(deadline, () => client.workflow.executeUpdateWithStart(submitTurn, options))
    return { kind: 'accepted' }
  } catch (error) {
    return answerOf(error)
  }
}

function beginning({ labels, rollOverTurns, idleMs }: SubmitOrder): SessionState {
  const state = { labels, queue: [], remembered: [], turns: 0, rollOverTurns }
  return idleMs === undefined ? state : { ...state, idleMs }
}

function answerOf(error: unknown): Submitted {
  if (error instanceof WorkflowUpdateFailedError) {
    const type = (error.cause as { type?: unknown } | undefined)?.type
    return { kind: 'refused', code: isErrorCode(type) ? type : 'internal' }
  }
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isGrpcServiceError(error))
    return { kind: 'unanswered' }
  const cause = error instanceof Error ? error.cause : undefined
  if (isGrpcServiceError(cause)) return { kind: 'unanswered' }
  throw error
}
