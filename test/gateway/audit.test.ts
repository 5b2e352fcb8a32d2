// The chain: sealed by several processes without a gap, and broken by nothing that goes unnoticed.
import { execFile } from 'node:child_process'
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { sha256Hex } from '../../crypto/evidence.ts'
import { canonicalJson } from '../../crypto/portable/canonical-json.ts'
import { lockHead } from '../../db/audit.ts'
import { inTransaction } from '../../db/transaction.ts'
import type { Principal } from '../../domain/principal.ts'
import { gatewayIdentity } from '../../gateway/audit-record.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { scrubbedEnvironment } from '../support/installation.ts'
import {
  allowAll,
  asIntruder,
  createPerson,
  fund,
  growChain,
  holdOf,
  openGateway,
  policyOf,
  recordsOf,
  ruleOf,
  toolCall,
  verifyStored,
  type Gateway,
} from './fixture.ts'

let database: TestDatabase
let gateway: Gateway
let person: Principal

beforeAll(async () => {
  database = await createTestDatabase()
  gateway = await openGateway(database)
})
beforeEach(async () => {
  person = await createPerson(database.pool)
})
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
  await database?.[Symbol.asyncDispose]()
})

const effect = async () => ({ value: 'fine', output: 'fine' })

const chainOf = (principal: Principal, length: number) => growChain(gateway, principal, length)
const verifyTenant = (tenant: string) => verifyStored(gateway, database.pool, tenant)

const edited = (set: string) => `UPDATE audit_record SET ${set} WHERE tenant = $1 AND seq = 3`

test.each([
  ['an edited member', edited(`body = replace(body, '"status":"ok"', '"status":"held"')`), 3, /signature/],
  ['a record that is rewritten in another form', edited("body = body || ' '"), 3, /canonical/],
  ['a record that is no JSON', edited("body = '{'"), 3, /canonical/],
  [
    'an edited previous hash',
    edited(`body = regexp_replace(body, '"prev_sha256":"[0-9a-f]{64}', '"prev_sha256":"' || repeat('0', 64))`),
    3,
    /signature/,
  ],
  ['a deleted record', 'DELETE FROM audit_record WHERE tenant = $1 AND seq = 3', 3, /missing/],
  ['a deleted first record', 'DELETE FROM audit_record WHERE tenant = $1 AND seq = 1', 1, /missing/],
  ['a cut-off end', 'DELETE FROM audit_record WHERE tenant = $1 AND seq >= 4', 4, /end of the chain/],
  ['no records at all', 'DELETE FROM audit_record WHERE tenant = $1', 1, /end of the chain/],
  ['a head moved back', 'UPDATE audit_head SET seq = 4 WHERE tenant = $1', 5, /beyond the head/],
  [
    'a head that names another record',
    "UPDATE audit_head SET sha256 = repeat('1', 64) WHERE tenant = $1",
    5,
    /another record/,
  ],
  ['a lost head', 'DELETE FROM audit_head WHERE tenant = $1', 6, /head of the chain is missing/],
] as const)('notices %s', async (...[, sql, firstBrokenSeq, reason]) => {
  await chainOf(person, 5)
  expect(await verifyTenant(person.tenant)).toEqual({ ok: true, count: 5 })
  await asIntruder(database, sql, [person.tenant])
  const verified = await verifyTenant(person.tenant)
  expect(verified).toMatchObject({ ok: false, firstBrokenSeq, reason: expect.stringMatching(reason) as string })
})

test('notices two records that changed places', async () => {
  await chainOf(person, 5)
  const swap = `UPDATE audit_record a SET body = b.body, sha256 = b.sha256 FROM audit_record b
    WHERE a.tenant = $1 AND b.tenant = $1 AND a.seq + b.seq = 6 AND a.seq <> b.seq`
  await asIntruder(database, swap, [person.tenant])
  expect(await verifyTenant(person.tenant)).toMatchObject({ ok: false, firstBrokenSeq: 1 })
})

test('notices a record of another tenant in the chain', async () => {
  const other = await createPerson(database.pool)
  await chainOf(person, 3)
  await chainOf(other, 3)
  const borrow = `UPDATE audit_record a SET body = b.body FROM audit_record b
    WHERE a.tenant = $1 AND b.tenant = $2 AND a.seq = 2 AND b.seq = 2`
  await asIntruder(database, borrow, [person.tenant, other.tenant])
  expect(await verifyTenant(person.tenant)).toMatchObject({
    firstBrokenSeq: 2,
    reason: expect.stringMatching(/tenant/) as string,
  })
})

test.each(['unknown', 'the real'] as const)(
  'notices a record that was signed again with another key under %s kid',
  async (kid) => {
    await chainOf(person, 5)
    const { privateKey } = generateKeyPairSync('ed25519')
    const [, , third] = await recordsOf(database.pool, person.tenant)
    const { sig: _sig, ...rest } = { ...third, status: 'denied', ...(kid === 'unknown' ? { kid: 'mine' } : {}) }
    const signature = sign(null, Buffer.from(canonicalJson(rest)), privateKey).toString('base64')
    const body = canonicalJson({ ...rest, sig: `ed25519:${signature}` })
    await asIntruder(database, 'UPDATE audit_record SET body = $2 WHERE tenant = $1 AND seq = 3', [person.tenant, body])
    expect(await verifyTenant(person.tenant)).toMatchObject({ ok: false, firstBrokenSeq: 3 })
  },
)

test('notices, at the one that follows, a record that was signed again with the real key', async () => {
  await chainOf(person, 5)
  const [, , third] = await recordsOf(database.pool, person.tenant)
  const { sig: _sig, ...rest } = { ...third, status: 'denied' }
  const { signature } = gateway.keys.sign('audit', Buffer.from(canonicalJson(rest)))
  const body = canonicalJson({ ...rest, sig: `ed25519:${signature.toString('base64')}` })
  await asIntruder(database, 'UPDATE audit_record SET body = $2 WHERE tenant = $1 AND seq = 3', [person.tenant, body])
  const reason = 'the record does not continue the one before'
  expect(await verifyTenant(person.tenant)).toEqual({ ok: false, firstBrokenSeq: 4, reason })
})

test('the application cannot rewrite the chain', async () => {
  await chainOf(person, 1)
  for (const sql of ["UPDATE audit_record SET decision = 'x'", 'DELETE FROM audit_record', 'TRUNCATE audit_record']) {
    await expect(database.pool.query(sql)).rejects.toThrow(/permission denied|append-only/)
  }
})

test('records of a retired key still verify', async () => {
  await chainOf(person, 2)
  await gateway.keys.rotate('audit')
  await chainOf(person, 2)
  const kids = (await recordsOf(database.pool, person.tenant)).map((record) => record.kid)
  expect(new Set(kids).size).toBe(2)
  expect(await verifyTenant(person.tenant)).toEqual({ ok: true, count: 4 })
})

test('two processes write one chain without a gap, each call once', async () => {
  await using other = await openGateway(database)
  const calls = Array.from({ length: 120 }, (_, n) => {
    const { pipeline } = n % 2 ? gateway : other
    return pipeline.run(toolCall(person, n % 3 ? 'read' : 'write', { effectKey: `call-${n}` }), effect)
  })
  await Promise.all(calls)
  await Promise.all([gateway.sealer.drain(), other.sealer.drain(), other.sealer.drain()])
  expect([...gateway.faults, ...other.faults]).toEqual([])
  const records = await recordsOf(database.pool, person.tenant)
  expect(records.map((record) => record.seq)).toEqual(Array.from({ length: 120 }, (_, n) => n + 1))
  expect(new Set(records.map((record) => record.idempotency_key)).size).toBe(120)
  expect(await verifyTenant(person.tenant)).toEqual({ ok: true, count: 120 })
})

test('six calls, three that pass, one denied and two above their limit, are six records with the hashes of what passed', async () => {
  const forbidden = ruleOf('no', { kind: 'deny', hard: true }, { tools: [{ server: 'forbidden', tool: '*' }] })
  await using strict = await openGateway(database, { policy: policyOf(allowAll, forbidden) })
  await fund(database.pool, person, 1_000n)
  const resource = { kind: 'tool', name: 'forbidden/it', effectClass: 'read', owner: null } as const
  const calls = [
    toolCall(person, 'read', { effectKey: 'ok-1' }),
    toolCall(person, 'write', { effectKey: 'ok-2' }),
    toolCall(person, 'read', { effectKey: 'ok-3', hold: holdOf(900n) }),
    toolCall(person, 'read', { effectKey: 'denied', resource }),
    toolCall(person, 'read', { effectKey: 'over-1', hold: holdOf(101n) }),
    toolCall(person, 'write', { effectKey: 'over-2', hold: holdOf(5_000n) }),
  ]
  const kinds: string[] = []
  for (const call of calls) kinds.push((await strict.pipeline.run(call, effect)).kind)
  expect(kinds).toEqual(['done', 'done', 'done', 'refused', 'refused', 'refused'])
  await strict.sealer.drain()
  const records = await recordsOf(database.pool, person.tenant)
  const input = sha256Hex(canonicalJson({ text: 'hello' }))
  const output = sha256Hex(canonicalJson('fine'))
  const seen = records.map((r) => [r.idempotency_key, r.status, r.error_code, r.input_sha256, r.output_sha256])
  expect(new Set(seen.map((each) => JSON.stringify(each)))).toEqual(
    new Set(
      [
        ['ok-1', 'ok', null, input, output],
        ['ok-2', 'ok', null, input, output],
        ['ok-3', 'ok', null, input, output],
        ['denied', 'denied', 'policy-refused', input, null],
        ['over-1', 'refused', 'insufficient-funds', input, null],
        ['over-2', 'refused', 'insufficient-funds', input, null],
      ].map((each) => JSON.stringify(each)),
    ),
  )
  expect(records).toHaveLength(6)
  expect(await verifyTenant(person.tenant)).toEqual({ ok: true, count: 6 })
  const { rows } = await database.pool.query('SELECT 1 FROM audit_payload WHERE tenant = $1', [person.tenant])
  expect(rows).toEqual([]) // what went in and out is not kept
})

test('seals soon after the outcome what came while a round was busy', async () => {
  const busy = await createPerson(database.pool)
  await chainOf(busy, 1)
  const reached = async () => (await recordsOf(database.pool, person.tenant)).length
  await inTransaction(database.pool, async (client) => {
    await lockHead(client, busy.tenant)
    await gateway.pipeline.run(toolCall(busy, 'read'), effect)
    await new Promise((resolve) => setTimeout(resolve, 150)) // the round waits for the head
    await gateway.pipeline.run(toolCall(person, 'read'), effect)
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(await reached()).toBe(0)
  })
  const startedAt = performance.now()
  while ((await reached()) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(performance.now() - startedAt).toBeLessThan(500)
})

test('seals a forgotten intent as unknown, and a later outcome as a record that names it', async () => {
  const aged = "UPDATE audit_pending SET at = now() - interval '16 minutes' WHERE tenant = $1"
  await gateway.pipeline.run(toolCall(person, 'write', { effectKey: 'slow' }), async () => {
    await gateway.sealer.drain()
    expect(await recordsOf(database.pool, person.tenant)).toEqual([])
    await asIntruder(database, aged, [person.tenant])
    await gateway.sealer.drain()
    return { value: null }
  })
  await gateway.sealer.drain()
  const [unknown, late] = await recordsOf(database.pool, person.tenant)
  expect(unknown).toMatchObject({ status: 'unknown', latency_ms: null, follows: null })
  expect(late).toMatchObject({
    status: 'ok',
    follows: unknown?.id,
    effect_seq: unknown?.effect_seq,
    idempotency_key: 'slow',
  })
  expect(await verifyTenant(person.tenant)).toEqual({ ok: true, count: 2 })
})

test('an outcome that is being written is not overtaken by unknown', async () => {
  const id = randomUUID()
  const insert = `INSERT INTO audit_pending (id, tenant, intent, at)
    SELECT $1, tenant, intent, now() - interval '15 minutes' + interval '400 milliseconds' FROM audit_pending WHERE tenant = $2 LIMIT 1`
  await gateway.pipeline.run(toolCall(person, 'write'), async () => {
    await asIntruder(database, insert, [id, person.tenant])
    await inTransaction(database.pool, async (client) => {
      const outcome = { status: 'ok', error_code: null, latency_ms: 1, output_sha256: null }
      await client.query('UPDATE audit_pending SET outcome = $2 WHERE id = $1', [id, JSON.stringify(outcome)])
      await new Promise((resolve) => setTimeout(resolve, 500)) // by now it is one that nobody waits for
      const startedAt = performance.now()
      await gateway.sealer.drain()
      expect(performance.now() - startedAt).toBeLessThan(1_000) // it passes the row by instead of waiting for it
    })
    return { value: null }
  })
  await gateway.sealer.drain()
  const statuses = (await recordsOf(database.pool, person.tenant)).map((record) => record.status)
  expect(statuses).toEqual(['ok', 'ok'])
})

test('records name the release that wrote them', () => {
  expect(gatewayIdentity.version).toBe(packageJson.version)
})

test('audit:verify is green, and names the tenant and the first broken record when it is not', async () => {
  const verify = () =>
    promisify(execFile)(process.execPath, ['--import', 'tsx', 'workers/audit-verify.ts'], {
      env: scrubbedEnvironment({ DATABASE_URL: database.url }),
    })
  await using fresh = await createTestDatabase()
  await using process2 = await openGateway(fresh)
  const someone = await createPerson(fresh.pool)
  for (let n = 0; n < 3; n += 1) await process2.pipeline.run(toolCall(someone, 'read'), effect)
  await process2.sealer.drain()
  const green = await promisify(execFile)(process.execPath, ['--import', 'tsx', 'workers/audit-verify.ts'], {
    env: scrubbedEnvironment({ DATABASE_URL: fresh.url }),
  })
  expect(green.stdout).toBe('Verified: 1 chains with 3 records are ok.\n')
  const broken = await verify().catch((error: { code: number; stdout: string }) => error)
  expect(broken).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^tenant 0x\w+: broken at record \d+: /m) as string,
  })
}, 20_000)
