// A session: a mailbox that lives for weeks. It runs one turn at a time as a child and rolls over between turns.
import {
  ApplicationFailure,
  CancellationScope,
  ParentClosePolicy,
  allHandlersFinished,
  condition,
  continueAsNew,
  executeChild,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow'
import { rememberedUpdatesMax, turnQueueMax } from '../domain/limits.ts'
import {
  cancelTurn,
  closeSession,
  queues,
  revoked,
  sessionView,
  submitTurn,
  turnUpdateId,
  turnWorkflowId,
  type SessionState,
  type TurnRef,
} from './contract.ts'

type Mailbox = {
  queue: TurnRef[]
  remembered: string[]
  turns: number
  current: TurnRef | null
  closed: boolean
  draining: boolean
  running: CancellationScope | null
}

export async function chatSession(state: SessionState): Promise<void> {
  const box: Mailbox = {
    queue: [...state.queue],
    remembered: [...state.remembered],
    turns: state.turns,
    current: null,
    closed: false,
    draining: false,
    running: null,
  }
  const view = (): SessionState => ({ ...state, queue: box.queue, remembered: box.remembered, turns: box.turns })
  setHandler(submitTurn, (turn) => accept(box, turn), { validator: (turn) => refuse(box, turn) })
  setHandler(cancelTurn, ({ turnId }) => cancel(box, turnId))
  setHandler(revoked, () => close(box))
  setHandler(closeSession, () => close(box))
  setHandler(sessionView, () => ({ ...view(), current: box.current }))

  while (!box.closed) {
    setCurrentDetails('Waiting for the next turn.')
    await condition(() => box.queue.length > 0 || box.closed)
    const next = box.closed ? undefined : box.queue.shift()
    if (next) await runTurn(state, box, next)
    if (!box.closed && mustRollOver(state, box)) {
      box.draining = true // validators refuse from here on, so nothing arrives between the last look and the new run
      await condition(allHandlersFinished)
      await continueAsNew<typeof chatSession>({ ...view(), turns: 0 })
    }
  }
  await condition(allHandlersFinished)
}

const open = (box: Mailbox) => box.queue.length + (box.current === null ? 0 : 1)

// Synchronous and read-only, as a validator must be: a rejected promise would count as acceptance.
function refuse(box: Mailbox, turn: TurnRef): void {
  if (box.closed) throw ApplicationFailure.nonRetryable('The session is closed.', 'session-closed')
  if (box.remembered.includes(turnUpdateId(turn))) return
  if (box.draining) throw ApplicationFailure.nonRetryable('The session is rolling over.', 'session-draining')
  if (open(box) > turnQueueMax) throw ApplicationFailure.nonRetryable('Too many turns wait.', 'turn-queue-full')
}

function accept(box: Mailbox, turn: TurnRef): { position: number } {
  const id = turnUpdateId(turn)
  if (!box.remembered.includes(id)) {
    box.remembered = [...box.remembered, id].slice(-rememberedUpdatesMax)
    box.queue.push({ turnId: turn.turnId, try: turn.try })
  }
  return { position: open(box) }
}

function cancel(box: Mailbox, turnId: string): void {
  if (box.current?.turnId === turnId) box.running?.cancel()
}

function close(box: Mailbox): void {
  box.closed = true
  box.running?.cancel()
}

async function runTurn(state: SessionState, box: Mailbox, turn: TurnRef): Promise<void> {
  const scope = new CancellationScope()
  Object.assign(box, { current: turn, running: scope, turns: box.turns + 1 })
  setCurrentDetails(`Turn ${box.turns} is running.`)
  const { labels } = state
  try {
    await scope.run(() =>
      executeChild('agentTurn', {
        workflowId: turnWorkflowId({ sessionId: labels.sessionId, ...turn }),
        taskQueue: queues.durable,
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        workflowTaskTimeout: '5 seconds', // how long a dead worker keeps a turn waiting
        args: [{ ...turn, labels, stepsMax: labels.stepsMax }],
        staticSummary: 'One turn: model and tools',
        searchAttributes: {
          SessionId: [labels.sessionId],
          TenantId: [labels.tenantId],
          WalletId: [labels.walletId],
          AgentId: [labels.agentId],
          RunKind: ['turn'],
          State: ['running'],
          RevocationScope: [...labels.revocationScopes],
        },
      }),
    )
  } catch (error) {
    // A turn tells its failures itself; what arrives here is a cancel, or a child that could not be started again.
    if (!isCancellation(error) && !(error instanceof Error)) throw error
  } finally {
    Object.assign(box, { current: null, running: null })
  }
}

function mustRollOver(state: SessionState, box: Mailbox): boolean {
  return box.turns >= state.rollOverTurns || workflowInfo().continueAsNewSuggested
}
