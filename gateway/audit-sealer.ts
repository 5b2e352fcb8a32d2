// Joins intents and outcomes into one signed chain per tenant. Every process runs one; the tenant's head row decides who
// seals, and all of it is one transaction, so there is no gap and nothing twice.
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import { sha256Hex } from '../crypto/evidence.ts'
import {
  appendRecords,
  lockHead,
  takePending,
  tenantsToSeal,
  type Head,
  type PendingRow,
  type RecordRow,
} from '../db/audit.ts'
import type { Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { toError } from '../domain/errors.ts'
import { auditBatchMax, auditIdleMs, auditSealMs, auditTenantsMax, auditUnknownMs } from '../domain/limits.ts'
import type { AuditIntent } from '../schemas/audit.ts'
import type { Logger } from '../telemetry/log.ts'
import { unknownOutcome } from './audit-record.ts'
import type { SigningKeys } from './signing-keys.ts'

export type AuditSealer = AsyncDisposable & {
  /** Says that something of this process waits. */
  readonly wake: () => void
  /** Seals until nothing waits. */
  readonly drain: () => Promise<void>
}

export type SealerDeps = {
  readonly pool: Pool
  readonly keys: Pick<SigningKeys, 'active' | 'sign'>
  readonly log: Pick<Logger, 'error'>
}

/** Starts sealing: soon after a wake, and each second for what other processes left. */
export function createAuditSealer(deps: SealerDeps): AuditSealer {
  let timer: NodeJS.Timeout | undefined
  let dueAt = Number.POSITIVE_INFINITY
  let running: Promise<void> | undefined
  let ended = false
  const plan = (ms: number) => {
    if (ended || dueAt <= performance.now() + ms) return
    clearTimeout(timer)
    dueAt = performance.now() + ms
    timer = setTimeout(seal, ms)
    timer.unref()
  }
  const seal = () => {
    dueAt = Number.POSITIVE_INFINITY
    if (running) return plan(auditSealMs) // what arrived meanwhile may have missed this round
    running = sealAll(deps)
      .catch((error: unknown) => deps.log.error({ err: toError(error) }, 'sealing the audit chain failed'))
      .finally(() => {
        running = undefined
        plan(auditIdleMs)
      })
  }
  plan(auditIdleMs)
  return {
    wake: () => plan(auditSealMs),
    async drain() {
      await running
      await sealAll(deps)
    },
    async [Symbol.asyncDispose]() {
      ended = true
      clearTimeout(timer)
      await running
      await sealAll(deps).catch((error: unknown) => deps.log.error({ err: toError(error) }, 'the last sealing failed'))
    },
  }
}

async function sealAll(deps: SealerDeps): Promise<void> {
  const tenants = await tenantsToSeal(deps.pool, { unknownMs: auditUnknownMs, limit: auditTenantsMax })
  for (const tenant of tenants) {
    await sealTenant(deps, tenant).catch((error: unknown) => {
      deps.log.error({ err: toError(error), tenant }, 'a chain was not continued')
    })
  }
}

async function sealTenant(deps: SealerDeps, tenant: string): Promise<void> {
  while ((await sealBatch(deps, tenant)) === auditBatchMax) continue
}

async function sealBatch({ pool, keys }: SealerDeps, tenant: string): Promise<number> {
  return inTransaction(pool, async (client) => {
    let head = await lockHead(client, tenant)
    const pending = await takePending(client, { tenant, limit: auditBatchMax, unknownMs: auditUnknownMs })
    const records: RecordRow[] = []
    for (const row of pending) {
      const record = sealRecord(keys, row, head)
      records.push(record)
      head = record
    }
    await appendRecords(client, { tenant, records })
    return records.length
  })
}

// Sealed as it was written: a row of an older form stays evidence.
function sealRecord(keys: SealerDeps['keys'], row: PendingRow, head: Head): RecordRow {
  const seq = head.seq + 1
  const { kid } = keys.active('audit')
  const unsigned = { ...row.intent, ...(row.outcome ?? unknownOutcome), id: row.id, seq, prev_sha256: head.sha256, kid }
  const { signature } = keys.sign('audit', Buffer.from(canonicalJson(unsigned), 'utf8'))
  const body = canonicalJson({ ...unsigned, sig: `ed25519:${signature.toString('base64')}` })
  const { ts, wallet_id: walletId, policy } = row.intent as Partial<AuditIntent>
  return {
    seq,
    id: row.id,
    body,
    sha256: sha256Hex(body),
    at: ts ?? new Date().toISOString(),
    walletId: walletId ?? null,
    decision: policy?.decision ?? 'none',
  }
}
