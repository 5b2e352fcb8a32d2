// The pipeline on a real database: what is refused leaves a record and nothing else, what runs is before or after each
// revocation, and the chain of records names the first one that was touched.
import { createPublicKey, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSeal } from '../../crypto/seal.ts'
import { openWallet } from '../../db/identity.ts'
import { createListener } from '../../db/pool.ts'
import { readRecords } from '../../db/audit.ts'
import { revokeScopes } from '../../db/revocation.ts'
import type { EffectClass } from '../../domain/tool.ts'
import { createAuditSealer, type AuditSealer } from '../../gateway/audit-sealer.ts'
import { createChainVerifier } from '../../gateway/audit-verify.ts'
import type { Call, Pipeline } from '../../gateway/call.ts'
import { createEpochs, type LiveEpochs } from '../../gateway/epochs.ts'
import { createPipeline } from '../../gateway/pipeline.ts'
import { createSigningKeys, type SigningKeys } from '../../gateway/signing-keys.ts'
import { createEvents } from '../../telemetry/events.ts'
import { createLogger } from '../../telemetry/log.ts'
import { createMetrics } from '../../telemetry/metrics.ts'
import { readPolicy } from '../../workers/files.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let epochs: LiveEpochs
let sealer: AuditSealer
let keys: SigningKeys
let pipeline: Pipeline
let walletId: bigint
const wallet = '0x00000000000000000000000000000000000000aa'
let isFresh = () => true

beforeAll(async () => {
  database = await createTestDatabase()
  const { pool } = database
  const log = createLogger({ level: 'silent', name: 'test' })
  keys = await createSigningKeys({ pool, seal: createSeal(Buffer.alloc(32, 7)), clock: () => new Date() })
  epochs = await createEpochs({ pool, listener: () => createListener(database.url), log })
  sealer = createAuditSealer({ pool, keys, log })
  const policy = await readPolicy()
  const events = createEvents(log, createMetrics())
  pipeline = createPipeline({
    pool,
    epochs: { ...epochs, isFresh: () => isFresh() },
    policy: { current: () => policy },
    sealer,
    events,
    traceId: () => null,
  })
  walletId = await openWallet(pool, wallet)
})
afterAll(async () => {
  await sealer[Symbol.asyncDispose]()
  await epochs[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

type Wanted = {
  readonly tenant?: string
  readonly effectClass?: EffectClass
  readonly session?: string
  readonly model?: boolean
}

function callFor({ tenant = 'demo', effectClass = 'read', session = randomUUID(), model = false }: Wanted): Call {
  return {
    principal: {
      tenant,
      subject: { kind: 'human', id: wallet },
      wallet,
      walletId,
      actorChain: [{ kind: 'agent', id: 'assistant' }],
      scopes: [],
      roles: ['owner'],
      permissions: ['*:*'],
      proof: { kind: 'none' },
      assurance: 1,
      sessionIds: { usid: 'u' },
      gate: [{ scope: `session:${session}`, epoch: 0 }],
      tokenId: 't',
      expiresAt: new Date(Date.now() + 60_000),
    },
    session: null,
    action: model ? 'model.call' : 'tool.call',
    resource: {
      kind: model ? 'model' : 'tool',
      name: model ? 'scripted-1' : 'workbench/x',
      effectClass,
      owner: wallet,
    },
    facts: { phase: 'call', arguments: { words: 'secret words' } },
    origin: 'test',
    effectKey: randomUUID(),
    attempt: 1,
    signal: new AbortController().signal,
  }
}

async function recordsOf(tenant: string): Promise<Record<string, unknown>[]> {
  await sealer.drain()
  return (await readRecords(database.pool, { tenant, afterSeq: 0n, limit: 1_000 })).map(
    (row) => JSON.parse(row.body) as Record<string, unknown>,
  )
}

test('a denial and a wait for approval run nothing and are recorded with their rules', async () => {
  let ran = 0
  const effect = async () => {
    ran += 1
    return { value: null }
  }
  expect(await pipeline.run(callFor({ tenant: 'a', effectClass: 'destructive' }), effect)).toMatchObject({
    kind: 'refused',
    code: 'policy-refused',
  })
  expect(await pipeline.run(callFor({ tenant: 'a', effectClass: 'write' }), effect)).toMatchObject({ kind: 'held' })
  expect(ran).toBe(0)
  expect(await recordsOf('a')).toMatchObject([
    {
      status: 'denied',
      code: 'policy-refused',
      policy: { decision: 'deny', rules: ['destructive-never'] },
      act: ['agent:assistant'],
    },
    { status: 'held', code: 'approval-required', policy: { decision: 'require' } },
  ])
})

test('a record holds digests, never the words', async () => {
  await pipeline.run(callFor({ tenant: 'b' }), async () => ({ value: 1, output: 'secret answer' }))
  const [record] = await recordsOf('b')
  expect(record).toMatchObject({
    status: 'ok',
    input_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    output_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  })
  expect(JSON.stringify(record)).not.toContain('secret')
})

test('an effect that throws is recorded with its code and rethrown', async () => {
  const failing = pipeline.run(callFor({ tenant: 'c', model: true }), async () => {
    throw new Error('broke')
  })
  await expect(failing).rejects.toThrow('broke')
  expect(await recordsOf('c')).toMatchObject([{ status: 'error', code: 'internal', effect_seq: expect.any(Number) }])
})

test('a read is refused while the revocation feed is stale; nothing runs', async () => {
  isFresh = () => false
  const answer = await pipeline.run(callFor({}), async () => ({ value: 1 }))
  isFresh = () => true
  expect(answer).toMatchObject({ kind: 'refused', code: 'revocation-feed-stale' })
})

test('a revocation aborts what runs and refuses what comes', async () => {
  const session = randomUUID()
  const running = pipeline.run(
    callFor({ session, model: true }),
    ({ signal }) =>
      new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  )
  await new Promise((resolve) => setTimeout(resolve, 50))
  const startedAt = performance.now()
  await revokeScopes(database.pool, { scopes: [`session:${session}`], reason: 'test', by: 'test' })
  await expect(running).rejects.toMatchObject({ code: 'revoked' })
  expect(performance.now() - startedAt).toBeLessThan(1_000)
  expect(await pipeline.run(callFor({ session }), async () => ({ value: 1 }))).toMatchObject({
    kind: 'refused',
    code: 'revoked',
  })
})

test('of many attempts against one revocation none that passed has a later number', async () => {
  for (let round = 0; round < 10; round += 1) {
    const session = randomUUID()
    const passed: bigint[] = []
    const attempts = Array.from({ length: 20 }, () =>
      pipeline
        .run(callFor({ session, model: true }), async ({ seq }) => {
          passed.push(seq ?? 0n)
          return { value: 1 }
        })
        .catch(() => undefined),
    )
    const gate = await revokeScopes(database.pool, { scopes: [`session:${session}`], reason: 'test', by: 'test' })
    await Promise.all(attempts)
    expect(passed.filter((seq) => seq > gate)).toEqual([])
  }
})

test('the chain verifies from its public keys alone and names the first record that was touched', async () => {
  for (let count = 0; count < 6; count += 1)
    await pipeline.run(callFor({ tenant: 'chain' }), async () => ({ value: count }))
  await sealer.drain()
  const rows = await readRecords(database.pool, { tenant: 'chain', afterSeq: 0n, limit: 100 })
  const bodies = rows.map((row) => row.body)
  const publicKeys = new Map(
    keys.publicKeys('audit').map((key) => [key.kid, createPublicKey({ key: key.jwk, format: 'jwk' })]),
  )
  const firstBroken = (texts: readonly string[]) => {
    const verifier = createChainVerifier(publicKeys)
    const index = texts.findIndex((text, at) => verifier.next(text, BigInt(at + 1)) !== null)
    return index === -1 ? null : index + 1
  }
  expect(bodies).toHaveLength(6)
  expect(firstBroken(bodies)).toBeNull()
  expect(firstBroken(bodies.with(2, (bodies[2] ?? '').replace('"status":"ok"', '"status":"no"')))).toBe(3)
  expect(firstBroken(bodies.toSpliced(3, 1))).toBe(4)
  expect(firstBroken(bodies.with(1, bodies[4] ?? '').with(4, bodies[1] ?? ''))).toBe(2)
})

test('two sealers at once write one chain without a gap', async () => {
  const other = createAuditSealer({ pool: database.pool, keys, log: createLogger({ level: 'silent', name: 'other' }) })
  await Promise.all(
    Array.from({ length: 60 }, () => pipeline.run(callFor({ tenant: 'two' }), async () => ({ value: 1 }))),
  )
  await Promise.all([sealer.drain(), other.drain(), sealer.drain(), other.drain()])
  await other[Symbol.asyncDispose]()
  const records = await recordsOf('two')
  expect(records.map((record) => record['seq'])).toEqual(records.map((_record, index) => String(index + 1)))
  expect(records).toHaveLength(60)
})
