// All that a process needs to keep evidence: its spool, the locks of its files, the sealer, and the taking over of what
// dead processes of the same folder left.
import { createSpoolLocks, type LockOptions, type SpoolLocks } from '../db/spool-lock.ts'
import { listSpools, takeSpoolFile } from '../db/spool-file.ts'
import { toError } from '../domain/errors.ts'
import { spoolRestMs, spoolRestMsMax, spoolSweepMax } from '../domain/limits.ts'
import type { Logger } from '../telemetry/log.ts'
import { createAuditSealer, reportUnreadable, sealSpool, type AuditSealer } from './audit-sealer.ts'
import { createAuditSpool } from './audit-spool.ts'
import type { Spool } from './ports.ts'
import type { ChainDeps } from './seal-chain.ts'
import type { SigningKeys } from './signing-keys.ts'
import { createSpoolFiles, newSpoolId, type SpoolBounds, type SpoolFiles } from './spool-files.ts'
import { createSpoolReader } from './spool-reader.ts'

export type EvidenceKeeper = Spool & AuditSealer

export type EvidenceOptions = SpoolBounds & {
  readonly pool: ChainDeps['pool']
  readonly keys: Pick<SigningKeys, 'active' | 'sign' | 'refresh'>
  readonly log: Pick<Logger, 'error'>
  /** Makes the connection that holds the locks. */
  readonly connection: LockOptions['connection']
}

type Parts = EvidenceOptions & {
  readonly files: SpoolFiles
  readonly locks: SpoolLocks
  /** Spools that could not be sealed, and when they are tried again. */
  readonly resting: Map<string, { readonly untilMs: number; readonly waitMs: number }>
}

/** Opens it: the lock of the first file is held, and what others left is sealed in the first second. */
export async function openEvidence(options: EvidenceOptions): Promise<EvidenceKeeper> {
  const files = createSpoolFiles(options)
  const locks = createSpoolLocks({ connection: options.connection, onLost: files.lose })
  const parts: Parts = { ...options, files, locks, resting: new Map() }
  await lockNext(parts)
  const upkeep = async () => {
    await spool.probe()
    await options.keys.refresh()
    await keepLocks(parts)
    await sweepLeft(parts)
  }
  const sealer = createAuditSealer({ ...parts, upkeep, carry: (ids) => spool.carry(ids) })
  const spool = createAuditSpool({ files, log: options.log, onWrite: sealer.wake })
  return {
    ...{ isOpen: spool.isOpen, begin: spool.begin, end: spool.end, write: spool.write },
    ...{ wake: sealer.wake, drain: sealer.drain },
    async [Symbol.asyncDispose]() {
      await spool.close()
      await sealer[Symbol.asyncDispose]()
      await locks[Symbol.asyncDispose]()
    },
  }
}

// The next file's lock is there before the file is, so that nobody takes it for one that was left.
async function lockNext({ files, locks }: Parts): Promise<void> {
  if (files.offered() !== undefined) return
  const id = newSpoolId()
  if (await locks.tryLock(id)) files.offer(id)
}

async function keepLocks(parts: Parts): Promise<void> {
  const { files, locks } = parts
  await lockNext(parts)
  for (const { file } of files.all()) if (!locks.holds(file.id)) await locks.tryLock(file.id)
}

// Newest first: the outcome of an intent that stands in an older file of the same process comes before it. One that cannot
// be sealed rests, longer each time, and keeps no other from being looked at.
async function sweepLeft(parts: Parts): Promise<void> {
  const { resting, files } = parts
  const now = performance.now()
  const own = new Set([...files.all().map(({ file }) => file.id), files.offered()])
  const { ids } = listSpools(parts.folder)
  for (const id of resting.keys()) if (!ids.includes(id)) resting.delete(id)
  const due = ids.filter((id) => !own.has(id) && (resting.get(id)?.untilMs ?? 0) <= now)
  for (const id of due.slice(0, spoolSweepMax)) await sweepOne(parts, id)
}

async function sweepOne(parts: Parts, id: string): Promise<void> {
  const { resting, locks, log } = parts
  if (!(await locks.tryLock(id))) return
  try {
    await sealLeft(parts, id)
    resting.delete(id)
  } catch (error) {
    const waitMs = Math.min((resting.get(id)?.waitMs ?? spoolRestMs / 2) * 2, spoolRestMsMax)
    resting.set(id, { untilMs: performance.now() + waitMs, waitMs })
    log.error({ err: toError(error), spool: id }, 'a spool that was left is not sealed')
  }
  await locks.unlock(id)
}

// Its process is gone or has gone on to another file: what has no outcome here has none.
async function sealLeft(parts: Parts, id: string): Promise<void> {
  const source = takeSpoolFile(parts.folder, id)
  if (!source) return
  const reader = createSpoolReader(source)
  try {
    await sealSpool(parts, reader)
    reader.giveUp(Number.POSITIVE_INFINITY)
    await sealSpool(parts, reader)
  } catch (error) {
    source.close()
    throw error
  }
  reportUnreadable(parts, id, reader)
  source.end(reader.unreadable() > 0 ? 'reject' : 'remove')
}
