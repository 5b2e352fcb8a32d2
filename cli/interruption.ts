// What Ctrl-C does to a turn: the first one cancels it at the gateway, which then says how it ended; the second one, or
// a gateway that says nothing for a while, leaves it.
import { cancelledTurnWaitMs } from '../domain/limits.ts'
import { GatehouseError, type ChatStream, type Client, type SessionRef } from '../sdk/client.ts'
import type { ChatView } from './chat-view.ts'
import type { CliDeps } from './deps.ts'
import { printNote } from './output.ts'

export type TurnOwner = {
  readonly deps: CliDeps
  readonly client: Client
  readonly session: SessionRef
  readonly view: Pick<ChatView, 'broken'>
  /** The command that comes back to the session. */
  readonly wayBack: string
}

export type Interruption = {
  /** To be told after each event: only now may the turn have a name. */
  readonly onEvent: () => void
  readonly isAsked: () => boolean
  /** What became of it, for somebody who stops reading. */
  readonly farewell: () => string
  readonly release: () => void
}

/** Listens for interrupts until released. `leaving` ends the reading of the turn, and a cancel that hangs. */
export function listenForInterrupts(owner: TurnOwner, stream: ChatStream, leaving: AbortController): Interruption {
  const leave = () => leaving.abort()
  let presses = 0
  let cancelling: 'not yet' | 'asked' | CancelAnswer = 'not yet'
  let timer: ReturnType<typeof setTimeout> | undefined
  const ask = () => {
    if (presses === 0 || cancelling !== 'not yet' || stream.turnId === undefined) return
    cancelling = 'asked'
    void cancelTurn(owner, stream.turnId, leaving.signal).then((answer) => {
      if (leaving.signal.aborted) return
      cancelling = answer
      if (answer !== 'accepted' && answer !== 'over') leave() // it goes on: nobody should wait for its end
    })
  }
  const unlisten = owner.deps.onInterrupt(() => {
    presses += 1
    if (presses > 1) {
      leave()
      return
    }
    if (owner.deps.isTty) owner.view.broken() // the answer stands on this line
    printNote(owner.deps, 'Cancelling the turn. Ctrl-C again leaves it to itself.')
    timer = setTimeout(leave, cancelledTurnWaitMs)
    ask()
  })
  return {
    onEvent: ask,
    isAsked: () => presses > 0,
    farewell: () => farewellOf(cancelling, owner.wayBack),
    release: () => {
      unlisten()
      clearTimeout(timer)
    },
  }
}

function farewellOf(cancelling: 'not yet' | 'asked' | CancelAnswer, wayBack: string): string {
  if (cancelling === 'accepted') return `The turn is cancelled. See what was said: ${wayBack}`
  if (cancelling === 'over') return `The turn had already ended. See what was said: ${wayBack}`
  if (cancelling === 'not yet') return `Left before the server named the turn. If it took it, it runs on: ${wayBack}`
  const why = cancelling === 'asked' ? '' : ` (${cancelling.message})`
  return `The turn runs on without you${why}. Come back to it: ${wayBack}`
}

export type CancelAnswer = 'accepted' | 'over' | GatehouseError

/** Asks the gateway to end a turn. Refusals are answers; only faults of ours are thrown. */
export async function cancelTurn(owner: TurnOwner, turnId: string, signal?: AbortSignal): Promise<CancelAnswer> {
  try {
    await owner.client.cancel(owner.session, turnId, { signal })
    return 'accepted'
  } catch (error) {
    if (error instanceof GatehouseError) return error.status === 409 || error.status === 404 ? 'over' : error
    if (signal?.aborted !== true) throw error
    return new GatehouseError('Nobody waited for the answer.', { status: 0, code: 'ABANDONED', cause: error })
  }
}
