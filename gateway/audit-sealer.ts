// Joins intents and outcomes into one signed chain per tenant. Every process runs one; the tenant's head row decides who
// seals, and all of it is one transaction, so there is no gap and nothing twice.
import { createHash } from 'node:crypto'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import { appendRecords, lockHead, takePending, tenantsToSeal, type PendingRow, type RecordRow } from '../db/audit.ts'
import type { Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { toError } from '../domain/errors.ts'
import { auditBatchMax, auditSealMs, auditUnknownMs } from '../domain/limits.ts'
import type { Logger } from '../telemetry/log.ts'
import type { SigningKeys } from './signing-keys.ts'

export type AuditSealer = AsyncDisposable & {
  /** Says that something of this process waits. */
  readonly wake: () => void
  /** Seals until nothing waits. */
  readonly drain: () => Promise<void>
}

const idleMs = 1_000

export type SealerDeps = { readonly pool: Pool; readonly keys: SigningKeys; readonly log: Logger }

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
    timer = setTimeout(run, ms)
    timer.unref()
  }
  const run = () => {
    dueAt = Number.POSITIVE_INFINITY
    running ??= sealAll(deps)
      .catch((error: unknown) => deps.log.error({ err: toError(error) }, 'sealing the audit chain failed'))
      .finally(() => {
        running = undefined
        plan(idleMs)
      })
  }
  plan(idleMs)
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
  for (const tenant of await tenantsToSeal(deps.pool, auditUnknownMs)) {
    while ((await sealBatch(deps, tenant)) === auditBatchMax) continue
  }
}

async function sealBatch({ pool, keys }: SealerDeps, tenant: string): Promise<number> {
  return inTransaction(pool, async (client) => {
    const head = await lockHead(client, tenant)
    const pending = await takePending(client, { tenant, limit: auditBatchMax, unknownMs: auditUnknownMs })
    const records: RecordRow[] = []
    for (const row of pending) {
      const last = records.at(-1) ?? head
      records.push(sealRecord(keys, row, last))
    }
    await appendRecords(client, { tenant, records })
    return pending.length
  })
}

function sealRecord(
  keys: SigningKeys,
  row: PendingRow,
  last: { readonly seq: bigint; readonly sha256: string },
): RecordRow {
  const outcome = row.outcome ?? {
    ts: row.at.toISOString(),
    status: 'unknown',
    code: null,
    latency_ms: null,
    output_sha256: null,
    trace_id: null,
  }
  const { kid } = keys.active('audit')
  const seq = last.seq + 1n
  const unsigned = { ...row.intent, ...outcome, id: row.id, seq: seq.toString(), prev_sha256: last.sha256, kid }
  const { signature } = keys.sign('audit', Buffer.from(canonicalJson(unsigned)))
  const body = canonicalJson({ ...unsigned, sig: `ed25519:${signature.toString('base64')}` })
  const sha256 = createHash('sha256').update(body).digest('hex')
  const policy = row.intent['policy'] as { decision?: string } | null
  return { seq, id: row.id, body, sha256, at: row.at, decision: policy?.decision ?? String(outcome['status']) }
}
