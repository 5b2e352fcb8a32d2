// What benches share: many operations at once, and what one of them costs this process in CPU, threads included.
export type Cost = {
  readonly cpuUs: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export type Load = {
  readonly count: number
  readonly atOnce: number
  readonly work: (n: number) => Promise<unknown>
  /** What is left to do when all are answered; it counts too. */
  readonly after?: () => Promise<void>
}

/** Runs the work `count` times, `atOnce` of them in flight, after a tenth of it to warm up. */
export async function measure({ count, atOnce, work, after }: Load): Promise<Cost> {
  await run({ count: Math.ceil(count / 10), atOnce, work })
  await after?.()
  const startedAt = performance.now()
  const before = process.cpuUsage()
  const taken = await run({ count, atOnce, work })
  const answeredSeconds = (performance.now() - startedAt) / 1_000
  await after?.()
  const { user, system } = process.cpuUsage(before)
  taken.sort()
  const at = (share: number) => taken[Math.floor((count - 1) * share)] ?? Number.NaN
  return { cpuUs: (user + system) / count, perSecond: count / answeredSeconds, p50Ms: at(0.5), p99Ms: at(0.99) }
}

async function run({ count, atOnce, work }: Load): Promise<Float64Array> {
  const taken = new Float64Array(count)
  let next = 0
  const lane = async () => {
    for (let n = next++; n < count; n = next++) {
      const startedAt = performance.now()
      await work(n)
      taken[n] = performance.now() - startedAt
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return taken
}

export function report(name: string, { cpuUs, perSecond, p50Ms, p99Ms }: Cost): void {
  const figures = [
    `CPU ${cpuUs.toFixed(0).padStart(5)} µs`,
    `${perSecond.toFixed(0).padStart(6)}/s`,
    `p50 ${p50Ms.toFixed(2).padStart(7)} ms`,
    `p99 ${p99Ms.toFixed(2).padStart(7)} ms`,
  ]
  process.stdout.write(`${name.padEnd(58)} ${figures.join('  ')}\n`)
}
