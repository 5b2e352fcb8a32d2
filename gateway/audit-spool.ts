// Writes evidence before anything is done or answered on its strength: all that is asked for in one turn of the event
// loop is one write. A file that is full, was taken over or lost its lock is followed by another; a line never leans on a
// line of another file.
import { GatewayError, toError } from '../domain/errors.ts'
import {
  auditUnknownMs,
  spoolBatchMax,
  spoolLineCharsMax,
  spoolPendingMax,
  spoolTakeoversMax,
} from '../domain/limits.ts'
import type { AuditIntent, AuditOutcome } from '../schemas/audit.ts'
import type { Logger } from '../telemetry/log.ts'
import type { BegunEvidence, Spool } from './ports.ts'
import type { SpoolFiles } from './spool-files.ts'

export type AuditSpool = Spool & {
  /** Writes these intents again where this process writes now, if they still wait. Answers which were. */
  readonly carry: (ids: readonly string[]) => Promise<readonly string[]>
  /** Tries to write after a failure, so that effects are admitted again. */
  readonly probe: () => Promise<void>
  /** Writes no further. */
  readonly close: () => Promise<void>
}

export type SpoolDeps = {
  readonly files: Pick<SpoolFiles, 'open' | 'leave' | 'lose' | 'isFull'>
  readonly log: Pick<Logger, 'error'>
  /** Called after each write. */
  readonly onWrite: () => void
}

type Begun = BegunEvidence & { readonly intent: string; readonly atMs: number; file: string }
type Item = { readonly begun: Begun; readonly outcome: AuditOutcome | undefined }
type Waiting = Item & { readonly resolve: () => void; readonly reject: (reason: Error) => void }

const unavailable = (message: string, cause?: unknown) => new GatewayError('evidence-unavailable', message, { cause })

/** Opens the spool; its first file is made with the first line. */
export function createAuditSpool({ files, log, onWrite }: SpoolDeps): AuditSpool {
  const writer = createWriter({ files, log, onWrite })
  const open = new Map<string, Begun>()
  const add = (begun: Begun, outcome?: AuditOutcome) => writer.add({ begun, outcome })
  // An outcome is always taken: its effect was admitted.
  const addNew = (begun: Begun, outcome?: AuditOutcome) =>
    files.isFull() ? Promise.reject(unavailable('The spool is full.')) : add(begun, outcome)
  return {
    isOpen: () => writer.isOpen() && !files.isFull(),
    async begin(id, intent) {
      const begun = begunOf(id, intent)
      await addNew(begun)
      open.set(id, begun)
      return begun
    },
    end(begun, outcome) {
      open.delete(begun.id)
      return add(begun as Begun, outcome) // what `begin` answered comes back; again, when it could not be written
    },
    write: (id, { intent, outcome }) => addNew(begunOf(id, intent), outcome),
    async carry(ids) {
      const begun = ids.flatMap((id) => open.get(id) ?? [])
      await Promise.all(begun.map((each) => add(each)))
      return begun.map(({ id }) => id)
    },
    probe: writer.probe,
    close: writer.close,
  }
}

// Writes what is asked for, all of one turn of the event loop at once.
function createWriter({ files, log, onWrite }: SpoolDeps) {
  let waiting: Waiting[] = []
  let [hasFailed, isClosed] = [false, false]
  let flushing: Promise<void> | undefined
  const attempt = async (batch: readonly Item[]): Promise<Error | undefined> => {
    try {
      await writeTo(files, batch)
      hasFailed = false
      return undefined
    } catch (error) {
      files.leave() // nobody knows how far its last line got
      if (!hasFailed) log.error({ err: toError(error) }, 'evidence cannot be written: effects are refused')
      hasFailed = true
      return unavailable('Evidence cannot be written.', error)
    }
  }
  const flush = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    while (waiting.length > 0) {
      const batch = waiting.slice(0, spoolBatchMax)
      waiting = waiting.slice(spoolBatchMax)
      const fault = await attempt(batch)
      onWrite()
      for (const each of batch) settle(each, fault)
    }
    flushing = undefined
  }
  return {
    isOpen: () => !isClosed && !hasFailed,
    add(item: Item): Promise<void> {
      if (isClosed) return Promise.reject(unavailable('The spool is closed.'))
      if (waiting.length >= spoolPendingMax) return Promise.reject(unavailable('Too much evidence waits.'))
      if (item.begun.intent.length > spoolLineCharsMax) return Promise.reject(unavailable('The evidence is too long.'))
      return new Promise((resolve, reject) => {
        waiting.push({ ...item, resolve, reject })
        flushing ??= flush()
      })
    },
    async probe() {
      if (hasFailed && !isClosed) await attempt([])
    },
    async close() {
      isClosed = true
      await flushing
      files.leave()
    },
  }
}

// A file that was taken over is read by its taker up to a line that nobody here knows: all is written again elsewhere.
async function writeTo(files: SpoolDeps['files'], batch: readonly Item[]): Promise<void> {
  for (let tries = 0; tries < spoolTakeoversMax; tries += 1) {
    const { file } = files.open()
    const text = batch.map((item) => lineOf(item, file.id)).join('')
    if (await file.append(text === '' ? '\n' : text)) {
      for (const { begun } of batch.filter(({ outcome }) => !outcome)) begun.file = file.id
      return
    }
    files.lose([file.id])
  }
  throw new Error('Each file was taken over.')
}

function settle({ resolve, reject }: Waiting, fault: Error | undefined): void {
  if (fault) reject(fault)
  else resolve()
}

function begunOf(id: string, intent: AuditIntent): Begun {
  return { id, intent: JSON.stringify(intent), atMs: performance.now(), file: '' }
}

// An outcome is short while its intent stands in the same file and nobody can have given it up yet.
function lineOf({ begun: { id, intent, atMs, file }, outcome }: Item, target: string): string {
  if (!outcome) return `{"id":"${id}","intent":${intent}}\n`
  const isShort = file === target && performance.now() - atMs < auditUnknownMs / 2
  return `{"id":"${id}",${isShort ? '' : `"intent":${intent},`}"outcome":${JSON.stringify(outcome)}}\n`
}
