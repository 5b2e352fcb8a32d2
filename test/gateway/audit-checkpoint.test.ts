// Checkpoints: made by the sealer in time, and holding a chain to what it was.
import { verify } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { sha256Hex } from '../../crypto/evidence.ts'
import { canonicalJson } from '../../crypto/portable/canonical-json.ts'
import { readCheckpoints } from '../../db/audit-checkpoint.ts'
import { readHeads } from '../../db/audit.ts'
import type { Principal } from '../../domain/principal.ts'
import { AuditCheckpoint } from '../../schemas/audit.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { asIntruder, createPerson, growChain, openGateway, recordsOf, verifyStored, type Gateway } from './fixture.ts'

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

const chainOf = (principal: Principal, length: number) => growChain(gateway, principal, length)
const verifyTenant = (tenant: string) => verifyStored(gateway, database.pool, tenant)

/** Lets a minute pass for the chain, and its sealer look. */
async function coverChain({ tenant }: Principal): Promise<void> {
  const pass = "UPDATE audit_head SET uncovered_since = uncovered_since - interval '61 seconds' WHERE tenant = $1"
  await asIntruder(database, pass, [tenant])
  await gateway.sealer.drain()
}

const cutWithHead = [
  'DELETE FROM audit_record WHERE tenant = $1 AND seq >= 4',
  'UPDATE audit_head SET seq = 3, sha256 = (SELECT sha256 FROM audit_record WHERE tenant = $1 AND seq = 3) WHERE tenant = $1',
]
const noTrace = ['DELETE FROM audit_record WHERE tenant = $1', 'DELETE FROM audit_head WHERE tenant = $1']

test.each([
  ['an end that was cut off together with the head that named it', cutWithHead, 4, /ends before its checkpoint/],
  ['a chain of which only the checkpoint is left', noTrace, 1, /head of the chain is missing/],
  [
    'an edited checkpoint',
    [`UPDATE audit_checkpoint SET body = replace(body, '"seq":5', '"seq":4'), seq = 4 WHERE tenant = $1`],
    4,
    /signature does not fit the checkpoint/,
  ],
] as const)('a checkpoint notices %s', async (...[, statements, firstBrokenSeq, reason]) => {
  await chainOf(person, 5)
  await coverChain(person)
  expect(await verifyTenant(person.tenant)).toEqual({ ok: true, count: 5 })
  for (const sql of statements) await asIntruder(database, sql, [person.tenant])
  const verified = await verifyTenant(person.tenant)
  expect(verified).toMatchObject({ ok: false, firstBrokenSeq, reason: expect.stringMatching(reason) as string })
  const listed = await readHeads(database.pool, { afterTenant: '', limit: 1_000 })
  expect(listed.map(({ tenant }) => tenant)).toContain(person.tenant)
})

test('a checkpoint notices records that were all signed again with the real key', async () => {
  await chainOf(person, 5)
  await coverChain(person)
  let before = '0'.repeat(64)
  for (const record of await recordsOf(database.pool, person.tenant)) {
    const { sig: _sig, ...rest } = { ...record, prev_sha256: before, ...(record.seq === 3 ? { status: 'denied' } : {}) }
    const { signature } = gateway.keys.sign('audit', Buffer.from(canonicalJson(rest)))
    const body = canonicalJson({ ...rest, sig: `ed25519:${signature.toString('base64')}` })
    before = sha256Hex(body)
    const set = 'UPDATE audit_record SET body = $3, sha256 = $4 WHERE tenant = $1 AND seq = $2'
    await asIntruder(database, set, [person.tenant, record.seq, body, before])
  }
  await asIntruder(database, 'UPDATE audit_head SET sha256 = $2 WHERE tenant = $1', [person.tenant, before])
  const reason = 'the checkpoint names another record'
  expect(await verifyTenant(person.tenant)).toEqual({ ok: false, firstBrokenSeq: 5, reason })
})

test('a chain has a checkpoint a minute after its last one, and none when it did not grow', async () => {
  await chainOf(person, 2)
  await coverChain(person)
  await coverChain(person)
  await chainOf(person, 1)
  await coverChain(person)
  const rows = await readCheckpoints(database.pool, { tenant: person.tenant, afterSeq: 0, limit: 10 })
  expect(rows.map(({ seq }) => seq)).toEqual([2, 3])
  const [record] = (await recordsOf(database.pool, person.tenant)).slice(-1)
  const { sig, ...checkpoint } = AuditCheckpoint.parse(JSON.parse(rows[1]?.body ?? ''))
  expect(checkpoint).toMatchObject({ tenant: person.tenant, seq: 3, root: sha256Hex(canonicalJson(record)) })
  const key = gateway.keys.publicKeys('audit').find(({ kid }) => kid === checkpoint.kid)?.key
  const signature = Buffer.from(sig.slice('ed25519:'.length), 'base64')
  expect(verify(null, Buffer.from(canonicalJson(checkpoint)), key ?? '', signature)).toBe(true)
})

test('a chain has a checkpoint after a thousand records', async () => {
  await chainOf(person, 1)
  const jump = 'UPDATE audit_head SET checkpoint_seq = -998 WHERE tenant = $1' // as if so many lay before
  await asIntruder(database, jump, [person.tenant])
  await chainOf(person, 1)
  expect(await readCheckpoints(database.pool, { tenant: person.tenant, afterSeq: 0, limit: 10 })).toMatchObject([
    { seq: 2 },
  ])
})
