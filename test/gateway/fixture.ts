// A gateway on a real database: the pipeline with its feed, sealer and keys, and the people and calls of its tests.
import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import { createSeal } from '../../crypto/seal.ts'
import { readHeads } from '../../db/audit.ts'
import { createListener, type Pool } from '../../db/pool.ts'
import { policySet, type PolicySet } from '../../domain/policy/combine.ts'
import type { Rule } from '../../domain/policy/rule.ts'
import type { Principal } from '../../domain/principal.ts'
import type { EffectClass } from '../../domain/tool.ts'
import type { AuditSealer } from '../../gateway/audit-sealer.ts'
import type { Verified } from '../../gateway/audit-verify.ts'
import { verifyWhole } from '../../gateway/audit-whole.ts'
import type { Call, Pipeline } from '../../gateway/call.ts'
import { createEpochs, type LiveEpochs } from '../../gateway/epochs.ts'
import type { HoldOrder, PolicySource, QuotaStore } from '../../gateway/ports.ts'
import { createMemoryQuota } from '../../gateway/quota-memory.ts'
import { createPipeline } from '../../gateway/pipeline.ts'
import { createSigningKeys, type SigningKeys } from '../../gateway/signing-keys.ts'
import { AuditRecord } from '../../schemas/audit.ts'
import type { TestDatabase } from '../support/database.ts'
import { openTestEvidence } from '../support/evidence.ts'

export const quiet = { warn: () => undefined, error: () => undefined }

export type Gateway = AsyncDisposable & {
  readonly pipeline: Pipeline
  readonly epochs: LiveEpochs
  readonly sealer: AuditSealer
  readonly keys: SigningKeys
  /** Where its spools are. */
  readonly folder: string
  /** What the sealer could not do. */
  readonly faults: readonly unknown[]
}

/** A process of its own on the database: `epochs` may be replaced to cut it off from its feed. */
export async function openGateway(
  database: TestDatabase,
  options: {
    readonly policy?: PolicySet
    /** Followed instead of `policy`. */
    readonly source?: PolicySource
    readonly epochs?: LiveEpochs
    readonly masterKey?: Uint8Array
    readonly quota?: QuotaStore
    readonly spool?: { readonly folder?: string; readonly bytesMax?: number; readonly fileBytesMax?: number }
  } = {},
): Promise<Gateway> {
  const { pool, url } = database
  const keys = await createSigningKeys({
    pool,
    seal: createSeal(options.masterKey ?? masterKey),
    clock: () => new Date(),
  })
  const epochs = options.epochs ?? (await createEpochs({ pool, listener: () => createListener(url), log: quiet }))
  const faults: unknown[] = []
  const log = { error: (fault: unknown) => void faults.push(fault) }
  const evidence = await openTestEvidence({ pool, url, keys, log, ...options.spool })
  const policy = options.source ?? { current: () => options.policy ?? policyOf(allowAll) }
  const events = { decisionMade: () => undefined }
  const quota = options.quota ?? createMemoryQuota()
  const pipeline = createPipeline({
    pool,
    epochs,
    policy,
    evidence,
    quota,
    events,
    spanIds: () => ({ traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8) }),
  })
  return {
    pipeline,
    epochs,
    sealer: evidence,
    keys,
    folder: evidence.folder,
    faults,
    async [Symbol.asyncDispose]() {
      await evidence[Symbol.asyncDispose]()
      await epochs[Symbol.asyncDispose]()
    },
  }
}

const masterKey = randomBytes(32)

export const policyOf = (...rules: readonly Rule[]): PolicySet =>
  policySet({ policyId: 'test', version: 3, epoch: 7, rules })

export const ruleOf = (id: string, effect: Rule['effect'], match: Rule['match'] = {}): Rule => ({
  id,
  policyId: 'test',
  version: 3,
  source: 'test.yaml',
  phases: ['list', 'call'],
  match,
  effect,
  reason: `The rule ${id} says so.`,
  severity: 'low',
  mode: 'enforce',
  delegable: false,
})

export const allowAll = ruleOf('allow-all', { kind: 'allow' })

/** A person with a wallet in the database. */
export async function createPerson(pool: Pool, over: Partial<Principal> = {}): Promise<Principal> {
  const wallet = `0x${randomBytes(20).toString('hex')}`
  const { rows } = await pool.query<{ id: bigint }>('SELECT wallet_open($1) AS id', [wallet])
  return personWith({ wallet, walletId: rows[0]?.id ?? 0n, tenant: wallet, ...over })
}

export function personWith(over: Partial<Principal>): Principal {
  const wallet = over.wallet ?? '0x00000000000000000000000000000000000000aa'
  const usid = randomUUID()
  return {
    tenant: wallet,
    subject: { kind: 'human', id: wallet },
    wallet,
    walletId: 1_000n,
    actorChain: [],
    scopes: [],
    roles: ['owner'],
    permissions: ['*:*'],
    proof: { kind: 'none' },
    assurance: 1,
    sessionIds: { usid },
    gate: [
      { scope: `session:${usid}`, epoch: 0 },
      { scope: `wallet:${wallet}`, epoch: 0 },
      { scope: 'global:all', epoch: 0 },
    ],
    tokenId: randomUUID(),
    expiresAt: new Date(Date.now() + 60_000),
    ...over,
  }
}

export async function fund(pool: Pool, person: Principal, amountMicros: bigint): Promise<void> {
  await pool.query('SELECT faucet_fund($1, $2, $3)', [randomUUID(), person.walletId, amountMicros])
}

export const holdOf = (amountMicros: bigint): HoldOrder => ({
  id: randomUUID(),
  revenue: 3,
  amountMicros,
  code: 11,
  agentId: 'assistant',
  workflowId: 'turn',
  meta: {},
})

/** A call of a tool; a read without a hold is lean, everything else governed. */
export function toolCall(principal: Principal, effectClass: EffectClass, over: Partial<Call> = {}): Call {
  return {
    principal,
    session: null,
    action: 'tool.call',
    resource: { kind: 'tool', name: `notes/${effectClass}_note`, effectClass, owner: principal.wallet },
    facts: { phase: 'call', arguments: { text: 'hello' } },
    origin: 'chat',
    effectKey: `call:${randomUUID()}`,
    attempt: 1,
    signal: new AbortController().signal,
    ...over,
  }
}

/** Calls of a person, writes and reads in turn, sealed. */
export async function growChain({ pipeline, sealer }: Gateway, person: Principal, length: number): Promise<void> {
  for (let n = 0; n < length; n += 1) {
    const effect = async () => ({ value: 'fine', output: 'fine' })
    await pipeline.run(toolCall(person, n % 2 ? 'read' : 'write'), effect)
  }
  await sealer.drain()
}

/** What a verifier says of a stored chain, its head and its checkpoints. */
export async function verifyStored({ keys }: Pick<Gateway, 'keys'>, pool: Pool, tenant: string): Promise<Verified> {
  const heads = await readHeads(pool, { afterTenant: '', limit: 10_000 })
  const head = heads.find((each) => each.tenant === tenant)?.head ?? null
  const publicKeys = new Map(keys.publicKeys('audit').map(({ kid, key }) => [kid, key]))
  return verifyWhole(pool, { publicKeys, tenant, head })
}

/** The tenant's sealed records, each checked against the schema. */
export async function recordsOf(pool: Pool, tenant: string): Promise<AuditRecord[]> {
  const { rows } = await pool.query<{ body: string }>('SELECT body FROM audit_record WHERE tenant = $1 ORDER BY seq', [
    tenant,
  ])
  return rows.map((row) => AuditRecord.parse(JSON.parse(row.body)))
}

/** Runs SQL as the owner of the schema with triggers off: what only an intruder on the database could do. */
export async function asIntruder(database: TestDatabase, sql: string, values: unknown[] = []): Promise<void> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    await client.query('SET session_replication_role = replica')
    await client.query(sql, values)
  } finally {
    await client.end()
  }
}
