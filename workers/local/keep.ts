// Keeps a server of this machine running: when its process dies it is started again where it was, with back-off.
import { createBackOff } from './back-off.ts'
import { isAlive, sleep } from './processes.ts'

type Server = { readonly pid: number; readonly stop: () => Promise<void> }

export type KeepOptions<T> = {
  readonly name: string
  readonly start: () => Promise<T>
  /** Called when another process took over. */
  readonly onReplaced: () => void
  readonly say: (line: string) => void
}

export type Kept<T> = { readonly current: () => T; readonly stop: () => Promise<void> }

const lookMs = 200

/** Watches the server until `stop`, which also ends it. */
export function keepRunning<T extends Server>(first: T, options: KeepOptions<T>): Kept<T> {
  const state = { server: first, ending: false }
  const backOff = createBackOff()
  const watch = async () => {
    for (let bornAt = performance.now(); !state.ending;) {
      await sleep(lookMs)
      if (state.ending || isAlive(state.server.pid)) continue
      options.say(`${options.name} died; starting it again.`)
      await backOff.rest(bornAt)
      bornAt = performance.now()
      await replace(state, options)
    }
  }
  const watching = watch()
  return {
    current: () => state.server,
    async stop() {
      state.ending = true
      backOff.wake()
      await watching
      await state.server.stop()
    },
  }
}

async function replace<T extends Server>(
  state: { server: T; ending: boolean },
  { name, start, onReplaced, say }: KeepOptions<T>,
): Promise<void> {
  if (state.ending) return
  try {
    state.server = await start()
    if (!state.ending) onReplaced()
  } catch (error) {
    say(`${name} did not start: ${error instanceof Error ? error.message : 'unknown fault'}`)
  }
}
