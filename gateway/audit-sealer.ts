// Brings evidence into the chains: soon after it was written, and each second what was left by others. Every process runs
// one; the tenant's head row decides who seals.
import { insertPending, tenantsToSeal } from '../db/audit.ts'
import { tenantsToCover } from '../db/audit-checkpoint.ts'
import { toError } from '../domain/errors.ts'
import {
  auditBatchMax,
  auditIdleMs,
  auditSealMs,
  auditTenantsMax,
  auditUnknownMs,
  checkpointMs,
} from '../domain/limits.ts'
import type { Logger } from '../telemetry/log.ts'
import { unknownOutcome } from './audit-record.ts'
import { sealBatch, type Batch, type ChainDeps } from './seal-chain.ts'
import type { SpoolFiles } from './spool-files.ts'
import type { Evidence, SpoolReader } from './spool-reader.ts'

export type AuditSealer = AsyncDisposable & {
  /** Says that something of this process waits. */
  readonly wake: () => void
  /** Seals until nothing waits. */
  readonly drain: () => Promise<void>
}

export type SealerDeps = ChainDeps & {
  readonly log: Pick<Logger, 'error'>
  readonly files: SpoolFiles
  /** Writes open intents again where the spool is written now; answers which. */
  readonly carry: (ids: readonly string[]) => Promise<readonly string[]>
  /** What is done each second beside sealing: locks, spools of others, keys. */
  readonly upkeep: () => Promise<void>
}

/** What sealing a spool takes. */
export type SpoolSealing = ChainDeps & Pick<SealerDeps, 'log'> & { readonly files: Pick<SpoolFiles, 'all'> }

/** Starts sealing. */
export function createAuditSealer(deps: SealerDeps): AuditSealer {
  let timer: NodeJS.Timeout | undefined
  let dueAt = Number.POSITIVE_INFINITY
  let upkeepAt = 0
  let isRunning = false
  let ended = false
  let last: Promise<void> = Promise.resolve()
  // One round at a time: a reader of a spool has one place.
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const next = last.then(work)
    last = next.catch(() => undefined)
    return next
  }
  const plan = (ms: number) => {
    if (ended || dueAt <= performance.now() + ms) return
    clearTimeout(timer)
    dueAt = performance.now() + ms
    timer = setTimeout(seal, ms)
    timer.unref()
  }
  const round = async () => {
    await sealAll(deps)
    if (performance.now() < upkeepAt) return
    upkeepAt = performance.now() + auditIdleMs
    await deps.upkeep()
  }
  const seal = () => {
    dueAt = Number.POSITIVE_INFINITY
    if (isRunning) return plan(auditSealMs) // what arrived meanwhile may have missed this round
    isRunning = true
    void inTurn(round)
      .catch((error: unknown) => deps.log.error({ err: toError(error) }, 'sealing the audit chain failed'))
      .finally(() => {
        isRunning = false
        plan(auditIdleMs)
      })
  }
  plan(auditSealMs)
  return {
    wake: () => plan(auditSealMs),
    drain: () => inTurn(() => sealAll(deps)),
    async [Symbol.asyncDispose]() {
      ended = true
      clearTimeout(timer)
      await inTurn(() => sealAll(deps)).catch((error: unknown) =>
        deps.log.error({ err: toError(error) }, 'the last sealing failed'),
      )
    },
  }
}

async function sealAll(deps: SealerDeps): Promise<void> {
  for (const { reader } of deps.files.all()) {
    reader.giveUp(performance.now() - auditUnknownMs)
    await sealSpool(deps, reader)
  }
  // An outcome may have stood in a later file, so files are freed when all are sealed. One slow effect keeps no file.
  for (const own of deps.files.all()) {
    const kept = deps.files.keptBy(own)
    if (kept.length > 0) own.reader.settle(await deps.carry(kept))
    if (deps.files.release(own)) reportUnreadable(deps, own.file.id, own.reader)
  }
  const tenants = await tenantsToSeal(deps.pool, { unknownMs: auditUnknownMs, limit: auditTenantsMax })
  for (const tenant of tenants) await attempt(deps, tenant, () => sealTable(deps, tenant))
  await coverAll(deps)
}

/** Seals all that is ready in a spool. Throws when the database does not answer; nothing of it is lost then. */
export async function sealSpool(deps: SpoolSealing, reader: SpoolReader): Promise<void> {
  for (;;) {
    const ready = await reader.look()
    if (ready.length === 0) return
    for (const batch of batchesOf(ready)) {
      await sealOrPark(deps, batch)
      // An outcome may stand in a later file than its intent.
      const readers = [reader, ...deps.files.all().map((own) => own.reader)]
      for (const each of readers) each.settle(batch.evidence.map(({ id }) => id))
    }
  }
}

// A chain that cannot be continued keeps nobody else's evidence in the spool: its own waits in the table.
async function sealOrPark(deps: SpoolSealing, batch: Batch): Promise<void> {
  try {
    await sealBatch(deps, batch)
  } catch (error) {
    deps.log.error({ err: toError(error), tenant: batch.tenant }, 'a chain was not continued')
    const rows = batch.evidence.map((each) => ({ ...each, outcome: each.outcome ?? unknownOutcome }))
    await insertPending(deps.pool, batch.tenant, rows)
  }
}

function batchesOf(ready: readonly Evidence[]): Batch[] {
  const groups = new Map<string, Evidence[]>()
  for (const each of ready) {
    const tenant = String(each.intent['tenant'])
    const group = groups.get(tenant)
    if (group) group.push(each)
    else groups.set(tenant, [each])
  }
  return [...groups].flatMap(([tenant, all]) =>
    Array.from({ length: Math.ceil(all.length / auditBatchMax) }, (_, n) => ({
      tenant,
      evidence: all.slice(n * auditBatchMax, (n + 1) * auditBatchMax),
    })),
  )
}

/** Says that a file is kept aside because somebody other than a writer of ours has written in it. */
export function reportUnreadable({ log }: Pick<SealerDeps, 'log'>, id: string, reader: SpoolReader): void {
  const lines = reader.unreadable()
  if (lines > 0) log.error({ spool: id, lines }, 'a spool has lines that nobody can read; it is kept aside')
}

async function sealTable(deps: ChainDeps, tenant: string): Promise<void> {
  while ((await sealBatch(deps, { tenant, evidence: [] })) === auditBatchMax) continue
}

// Chains at rest are covered too.
async function coverAll(deps: SealerDeps): Promise<void> {
  const tenants = await tenantsToCover(deps.pool, { waitMs: checkpointMs, limit: auditTenantsMax })
  for (const tenant of tenants) {
    await attempt(deps, tenant, async () => void (await sealBatch(deps, { tenant, evidence: [] })))
  }
}

async function attempt({ log }: SealerDeps, tenant: string, work: () => Promise<void>): Promise<void> {
  await work().catch((error: unknown) => {
    log.error({ err: toError(error), tenant }, 'a chain was not continued')
  })
}
