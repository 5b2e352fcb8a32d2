// Many small requests become few statements: what arrives in one turn of the event loop, or while a statement is under
// way, goes out together. Batches run one after another, so that the order of arrival is the order of storage.
import { GatewayError } from '../domain/errors.ts'

export type BatcherOptions<T, R> = {
  /** Requests that may wait; more are refused. */
  readonly pendingMax: number
  readonly batchMax: number
  /** Runs a batch; answers in the order of its items. */
  readonly run: (items: readonly T[]) => Promise<readonly R[]>
  /** Items of one group stay in order, and share a batch only while `compatible` with the group's first. */
  readonly groupOf?: (item: T) => string
  readonly compatible?: (first: T, next: T) => boolean
}

export type Batcher<T, R> = {
  readonly add: (item: T) => Promise<R>
  /** Resolves when nothing waits any more. */
  readonly idle: () => Promise<void>
}

type Waiting<T, R> = {
  readonly item: T
  readonly resolve: (value: R) => void
  readonly reject: (reason: unknown) => void
}

export function createBatcher<T, R>(options: BatcherOptions<T, R>): Batcher<T, R> {
  let waiting: Waiting<T, R>[] = []
  let running: Promise<void> | undefined

  const drain = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    while (waiting.length > 0) {
      const { batch, rest } = nextBatch(waiting, options)
      waiting = rest
      await runBatch(batch, options)
    }
    running = undefined
  }
  return {
    add(item) {
      if (waiting.length >= options.pendingMax) {
        return Promise.reject(new GatewayError('database-unavailable', 'Too much waits for the database.'))
      }
      return new Promise<R>((resolve, reject) => {
        waiting.push({ item, resolve, reject })
        running ??= drain()
      })
    },
    idle: async () => running,
  }
}

// A group whose next item does not fit ends for this batch: what follows of it waits, so that order holds.
function nextBatch<T, R>(waiting: readonly Waiting<T, R>[], options: BatcherOptions<T, R>) {
  const batch: Waiting<T, R>[] = []
  const rest: Waiting<T, R>[] = []
  const firsts = new Map<string, T>()
  const ended = new Set<string>()
  for (const each of waiting) {
    const group = options.groupOf?.(each.item)
    if (group !== undefined) {
      const first = firsts.get(group)
      if (first === undefined) firsts.set(group, each.item)
      else if (options.compatible && !options.compatible(first, each.item)) ended.add(group)
    }
    const fits = batch.length < options.batchMax && (group === undefined || !ended.has(group))
    if (!fits && group !== undefined) ended.add(group)
    ;(fits ? batch : rest).push(each)
  }
  return { batch, rest }
}

// One bad item must not fail its neighbours: data faults (class 22) are tried again one by one.
async function runBatch<T, R>(batch: readonly Waiting<T, R>[], options: BatcherOptions<T, R>): Promise<void> {
  try {
    const answers = await options.run(batch.map(({ item }) => item))
    batch.forEach(({ resolve }, index) => resolve(answers[index] as R))
  } catch (error) {
    if (batch.length === 1 || !isDataFault(error)) return batch.forEach(({ reject }) => reject(error))
    for (const each of batch) await runBatch([each], options)
  }
}

function isDataFault(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('22')
}
