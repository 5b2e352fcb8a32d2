// One turn on its way to its reader, until it ends, is cancelled or is left. It goes on at the gateway whoever reads;
// only a cancel ends it there.
import { GatehouseError, type ChatEvent, type ChatStream } from '../sdk/client.ts'
import type { ChatView, Outcome } from './chat-view.ts'
import { exitCodeOf, exitCodeOfEvent, exitCodes } from './exit-codes.ts'
import { cancelTurn, listenForInterrupts, type Interruption, type TurnOwner } from './interruption.ts'
import { printNote } from './output.ts'

export type Talk = TurnOwner & {
  readonly view: ChatView
  readonly scopeId: string | undefined
  /** What the turns read here have cost. */
  readonly tally: { turns: number; costMicros: bigint }
}

/** Reads a turn and tells it. Throws what kept it from being read; interrupts are outcomes. */
export async function followTurn(talk: Talk, open: (signal: AbortSignal) => ChatStream): Promise<Outcome> {
  const leaving = new AbortController()
  const stream = open(AbortSignal.any([talk.deps.signal, leaving.signal]))
  const interruption = listenForInterrupts(talk, stream, leaving)
  try {
    const outcome = await read(talk, stream, interruption)
    talk.view.outcome({ ...outcome, turnId: stream.turnId })
    return outcome
  } catch (error) {
    talk.view.broken()
    const outcome = await endOf(talk, { error, stream, interruption, hasLeft: leaving.signal.aborted })
    talk.view.outcome({ ...outcome, turnId: stream.turnId })
    if (outcome.state === 'failed') throw error
    return outcome
  } finally {
    interruption.release()
  }
}

async function read(talk: Talk, stream: ChatStream, interruption: Interruption): Promise<Outcome> {
  let outcome: Outcome = { state: 'failed', exitCode: exitCodes.unexpected }
  for await (const event of stream) {
    talk.view.event(event)
    interruption.onEvent()
    outcome = outcomeOf(event) ?? outcome
    if (event.type === 'done') count(talk, event.data.costRaw)
  }
  if (!interruption.isAsked()) return outcome
  if (outcome.state === 'cancelled') printNote(talk.deps, 'The turn is cancelled.')
  else printNote(talk.deps, 'The turn had already ended.')
  return outcome
}

function outcomeOf(event: ChatEvent): Outcome | undefined {
  if (event.type === 'done') return { state: 'done', exitCode: exitCodes.ok }
  if (event.type !== 'error') return undefined
  const { code } = event.data
  const exitCode = exitCodeOfEvent(code)
  return { state: exitCode === exitCodes.cancelled ? 'cancelled' : 'error', code, exitCode }
}

function count({ tally }: Talk, costRaw: string): void {
  tally.turns += 1
  if (/^\d{1,19}$/.test(costRaw)) tally.costMicros += BigInt(costRaw)
}

type Break = {
  readonly error: unknown
  readonly stream: ChatStream
  readonly interruption: Interruption
  readonly hasLeft: boolean
}

async function endOf(talk: Talk, { error, stream, interruption, hasLeft }: Break): Promise<Outcome> {
  if (hasLeft) {
    printNote(talk.deps, interruption.farewell())
    return { state: 'left', exitCode: exitCodes.cancelled }
  }
  if (talk.deps.signal.aborted) {
    await cancelOnTheWayOut(talk, stream)
    return { state: 'cancelled', exitCode: exitCodes.cancelled }
  }
  const code = error instanceof GatehouseError ? error.code : undefined
  if (code === 'STREAM_CUT') printNote(talk.deps, `Come back to the turn: ${talk.wayBack}`)
  return { state: 'failed', code, exitCode: exitCodeOf(error) }
}

// The process is told to end, or nobody reads what it writes.
async function cancelOnTheWayOut(talk: Talk, stream: ChatStream): Promise<void> {
  const { deps } = talk
  if (stream.turnId === undefined) {
    printNote(deps, 'Interrupted before the server took the message, or while it did: see the session.')
    return
  }
  const answer = await cancelTurn(talk, stream.turnId)
  if (answer === 'accepted') printNote(deps, 'The turn is cancelled.')
  else printNote(deps, answer === 'over' ? 'The turn had already ended.' : `The turn may go on: ${answer.message}`)
}
