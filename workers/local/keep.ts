// Keeps a server of this machine running: when its process dies it is started again where it was, with back-off.
import { isAlive, sleep } from './postgres.ts'

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
const steadyMs = 30_000
const backOffMs = [200, 500, 1_000, 2_000, 5_000]

/** Watches the server until `stop`, which also ends it. */
export function keepRunning<T extends Server>(first: T, options: KeepOptions<T>): Kept<T> {
  const state = { server: first, ending: false }
  const watch = async () => {
    for (let deaths = 0, bornAt = performance.now(); !state.ending;) {
      await sleep(lookMs)
      if (state.ending || isAlive(state.server.pid)) continue
      if (performance.now() - bornAt > steadyMs) deaths = 0
      options.say(`${options.name} died; starting it again.`)
      await sleep(backOffMs[Math.min(deaths, backOffMs.length - 1)] ?? 5_000)
      deaths += 1
      bornAt = performance.now()
      await replace(state, options)
    }
  }
  const watching = watch()
  return {
    current: () => state.server,
    async stop() {
      state.ending = true
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
    onReplaced()
  } catch (error) {
    say(`${name} did not start: ${error instanceof Error ? error.message : 'unknown fault'}`)
  }
}
