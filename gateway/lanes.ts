// Lanes before a lock: what would queue for one row in the database waits here, in order, and takes no connection while it
// waits. One wallet's burst then neither runs into the lock's time nor keeps the connections of all others.
import { GatewayError } from '../domain/errors.ts'

export type LanesOptions = {
  /** That pass at a time, for each key. */
  readonly width: number
  readonly waitMs: number
}

export type Lanes = {
  /** Runs the work when its turn comes. Throws `database-unavailable` for one that waited too long; it did not run. */
  readonly run: <T>(key: string, work: () => Promise<T>) => Promise<T>
}

type Lane = { running: number; readonly waiting: (() => void)[] }

export function createLanes({ width, waitMs }: LanesOptions): Lanes {
  const lanes = new Map<string, Lane>()
  return {
    async run(key, work) {
      const lane = lanes.get(key) ?? { running: 0, waiting: [] }
      lanes.set(key, lane)
      if (lane.running < width) lane.running += 1
      else await turnOf(lane, waitMs) // whoever leaves hands its place over
      try {
        return await work()
      } finally {
        const next = lane.waiting.shift()
        if (next) next()
        else lane.running -= 1
        if (lane.running === 0) lanes.delete(key)
      }
    },
  }
}

function turnOf(lane: Lane, waitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const enter = () => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(() => {
      lane.waiting.splice(lane.waiting.indexOf(enter), 1)
      reject(new GatewayError('database-unavailable', 'Too much waits for the same wallet.', { retryAfterMs: 2_000 }))
    }, waitMs)
    lane.waiting.push(enter)
  })
}
