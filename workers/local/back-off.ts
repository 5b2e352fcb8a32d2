// The rest between two starts of what keeps dying: longer each time, forgotten after a steady while, cut short by whoever
// stops it or asks for it.
export type BackOff = {
  /** Waits before the next start of what began at `bornAt` and died. */
  readonly rest: (bornAt: number) => Promise<void>
  /** Ends the rest and forgets the deaths. */
  readonly wake: () => void
}

const steadyMs = 30_000
const restsMs = [200, 500, 1_000, 2_000, 5_000]

export function createBackOff(): BackOff {
  let deaths = 0
  let answer: (() => void) | undefined
  return {
    async rest(bornAt) {
      if (performance.now() - bornAt > steadyMs) deaths = 0
      const ms = restsMs[Math.min(deaths, restsMs.length - 1)] ?? 0
      deaths += 1
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        answer = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      answer = undefined
    },
    wake() {
      deaths = 0
      answer?.()
    },
  }
}
