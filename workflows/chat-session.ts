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
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow'
import type { TurnActivities } from '../activities/turn.ts'
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
  type AgentTurn,
  type SessionState,
  type TurnRef,
} from './contract.ts'
import { ledgerSteps } from './retry.ts'

const { failTurn } = proxyActivities<TurnActivities>(ledgerSteps)

type Mailbox = {
  queue: TurnRef[]
  remembered: string[]
  turns: number
  current: TurnRef | null
  /** Why it closes; null while it is open. */
  closedAs: 'session-closed' | 'revoked' | null
  draining: boolean
  running: CancellationScope | null
}

export async function chatSession(state: SessionState): Promise<void> {
  const box: Mailbox = {
    queue: [...state.queue],
    remembered: [...state.remembered],
    turns: state.turns,
    current: null,
    closedAs: null,
    draining: false,
    running: null,
  }
  const view = (): SessionState => ({ ...state, queue: box.queue, remembered: box.remembered, turns: box.turns })
  setHandler(submitTurn, (turn) => accept(box, turn), { validator: (turn) => refuse(box, turn) })
  setHandler(cancelTurn, ({ turnId }) => cancel(box, turnId))
  setHandler(revoked, (_fact) => close(box, 'revoked'))
  setHandler(closeSession, () => close(box, 'session-closed'))
  setHandler(sessionView, () => ({ ...view(), current: box.current }))
  try {
    await serve(box, state, view)
  } catch (error) {
    if (!isCancellation(error)) throw error // also the way out to the next run
    box.closedAs ??= 'session-closed'
  }
  await CancellationScope.nonCancellable(() => windUp(box))
}

async function serve(box: Mailbox, state: SessionState, view: () => SessionState): Promise<void> {
  while (box.closedAs === null) {
    setCurrentDetails('Waiting for the next turn.')
    if (await isIdle(state, box)) return
    const next = box.closedAs === null ? box.queue.shift() : undefined
    if (next) await runTurn(state, box, next)
    if (box.closedAs === null && mustRollOver(state, box)) {
      box.draining = true // validators refuse from here on, so nothing arrives between the last look and the new run
      await condition(allHandlersFinished)
      if (box.closedAs === null) await continueAsNew<typeof chatSession>({ ...view(), turns: 0 })
    }
  }
}

// A run that nobody talks to completes: what is known of the session is in its rows, and a new run is one round trip.
// From the look at the mailbox to the end of the run nothing is awaited, so that no turn is taken and then lost.
async function isIdle({ idleMs }: SessionState, box: Mailbox): Promise<boolean> {
  const called = () => box.queue.length > 0 || box.closedAs !== null
  if (idleMs === undefined) await condition(called)
  else await condition(called, idleMs)
  if (called()) return false
  box.draining = true
  return true
}

// Turns that never ran give back what was reserved for them.
async function windUp(box: Mailbox): Promise<void> {
  const code = box.closedAs ?? 'session-closed'
  setCurrentDetails(box.closedAs === null ? 'Idle: the next turn starts a new run.' : `Closing: ${code}.`)
  for (const turn of box.queue.splice(0)) await failTurn({ ...turn, code })
  await condition(allHandlersFinished)
  upsertSearchAttributes({ State: ['closed'] })
}

const open = (box: Mailbox) => box.queue.length + (box.current === null ? 0 : 1)

// Synchronous and read-only, as a validator must be: a rejected promise would count as acceptance.
function refuse(box: Mailbox, turn: TurnRef): void {
  if (box.closedAs !== null) throw ApplicationFailure.nonRetryable('The session is closed.', 'session-closed')
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

async function cancel(box: Mailbox, turnId: string): Promise<void> {
  if (box.current?.turnId === turnId) return box.running?.cancel()
  const waiting = box.queue.filter((turn) => turn.turnId === turnId)
  box.queue = box.queue.filter((turn) => turn.turnId !== turnId)
  for (const turn of waiting) await failTurn({ ...turn, code: 'turn-cancelled' })
}

function close(box: Mailbox, as: NonNullable<Mailbox['closedAs']>): void {
  box.closedAs ??= as
  box.running?.cancel()
}

async function runTurn(state: SessionState, box: Mailbox, turn: TurnRef): Promise<void> {
  const scope = new CancellationScope()
  Object.assign(box, { current: turn, running: scope, turns: box.turns + 1 })
  setCurrentDetails(`Turn ${box.turns} is running.`)
  try {
    await scope.run(() => runChild(state, turn))
  } catch (error) {
    // A turn tells its own end. Here it never began, or was killed: its rows are closed for it.
    const code = isCancellation(error) ? 'turn-cancelled' : 'internal'
    await CancellationScope.nonCancellable(() => failTurn({ ...turn, code }))
  } finally {
    Object.assign(box, { current: null, running: null })
  }
}

function runChild({ labels }: SessionState, turn: TurnRef): Promise<void> {
  return executeChild<AgentTurn>('agentTurn', {
    workflowId: turnWorkflowId({ sessionId: labels.sessionId, ...turn }),
    taskQueue: queues.durable,
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
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
  })
}

function mustRollOver(state: SessionState, box: Mailbox): boolean {
  return box.turns >= state.rollOverTurns || workflowInfo().continueAsNewSuggested
}
