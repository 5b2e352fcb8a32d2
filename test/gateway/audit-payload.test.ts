// Raw payloads: off unless wanted, sealed, for those who may see them, and gone when their class is over.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAuditActivities } from '../../activities/audit.ts'
import { loadConfig } from '../../config/load.ts'
import { createSeal } from '../../crypto/seal.ts'
import { insertPayload } from '../../db/audit-payload.ts'
import { GatewayError } from '../../domain/errors.ts'
import { auditPayloadBytesMax, auditPayloadPageRows } from '../../domain/limits.ts'
import { retentionClasses } from '../../domain/retention.ts'
import { keepPayloads } from '../../gateway/audit-payload.ts'
import type { Pipeline } from '../../gateway/call.ts'
import { testMasterKey } from '../support/api.ts'
import { createEvidenceRig, type EvidenceRig, type Witness } from '../support/evidence-rig.ts'
import { allowAll, asIntruder, openGateway, policyOf, recordsOf, ruleOf, toolCall } from './fixture.ts'

let rig: EvidenceRig
let keeping: Pipeline
const warned: unknown[] = []
const words = 'tell nobody about the harbour'

beforeAll(async () => {
  rig = await createEvidenceRig()
  const log = { warn: (fact: unknown) => void warned.push(fact) }
  keeping = keepPayloads(rig.gateway.pipeline, { pool: rig.api.database.pool, seal: createSeal(testMasterKey), log })
})
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]()
})

const query = (text: string, values: unknown[] = []) =>
  rig.api.database.pool.query<Record<string, unknown>>(text, values).then(({ rows }) => rows)

const orderOf = (person: Witness, kind: 'read' | 'write', input: string = words) =>
  toolCall(person.principal, kind, { facts: { phase: 'call', arguments: { message: input } } })

async function idsOf(person: Witness): Promise<string[]> {
  await rig.gateway.sealer.drain()
  const rows = await query('SELECT id FROM audit_record WHERE tenant = $1 ORDER BY seq', [person.principal.tenant])
  return rows.map(({ id }) => String(id))
}

const payload = (person: Witness, id: string) => person.call('GET', `/api/v1/audit/payload?record=${id}`)

test('nothing is kept unless it is wanted', async () => {
  expect(loadConfig({}).auditPayloads).toBe(false)
  expect(loadConfig({ GATEHOUSE_AUDIT_PAYLOADS: 'on' }).auditPayloads).toBe(true)
  expect(() => loadConfig({ GATEHOUSE_AUDIT_PAYLOADS: 'yes' })).toThrow(/GATEHOUSE_AUDIT_PAYLOADS/)
  const person = await rig.join()
  await person.act(2)
  expect(await query('SELECT * FROM audit_payload')).toEqual([])
  expect((await payload(person, (await idsOf(person))[0] ?? '')).status).toBe(404)
})

test.each(['read', 'write'] as const)(
  'what goes in and out of a %s is kept sealed, and fits the hashes',
  async (kind) => {
    const person = await rig.join()
    await keeping.run(orderOf(person, kind), async () => ({ value: 1, output: { harbour: 'closed' } }))
    const [id = ''] = await idsOf(person)
    const [row] = await query('SELECT retention, sealed FROM audit_payload WHERE id = $1', [id])
    expect(row?.['retention']).toBe('90d')
    expect(Buffer.from(row?.['sealed'] as Buffer).includes('harbour')).toBe(false)
    const [record] = await query('SELECT body FROM audit_record WHERE id = $1', [id])
    expect(record?.['body']).not.toContain('harbour')
    expect(await (await payload(person, id)).json()).toEqual({
      id,
      input: `{"message":"${words}"}`,
      output: '{"harbour":"closed"}',
      matches: true,
    })
  },
)

test('of an effect that failed, its input is kept; its error is what its caller sees', async () => {
  const person = await rig.join()
  const failing = keeping.run(orderOf(person, 'write'), async () => {
    throw new GatewayError('tool-failed', 'The tool failed.')
  })
  await expect(failing).rejects.toMatchObject({ code: 'tool-failed' })
  const [id = ''] = await idsOf(person)
  expect(await (await payload(person, id)).json()).toMatchObject({ output: null, matches: true })
})

test('what an effect records itself stands together with its payload', async () => {
  const person = await rig.join()
  const seen: string[] = []
  const record = async () => void seen.push('recorded')
  await keeping.run(orderOf(person, 'write'), async () => ({ value: 1, output: 'x', record }))
  expect([seen, (await idsOf(person)).length]).toEqual([['recorded'], 1])
  const broken = async () => {
    throw new GatewayError('internal', 'It cannot be recorded.')
  }
  await expect(keeping.run(orderOf(person, 'write'), async () => ({ value: 1, record: broken }))).rejects.toThrow(
    /cannot/,
  )
  const [, second = ''] = await idsOf(person)
  expect(await query('SELECT id FROM audit_payload WHERE id = $1', [second])).toEqual([])
})

test('one that is too large leaves its hashes only, and does not hinder the call', async () => {
  const person = await rig.join()
  const order = orderOf(person, 'read', 'x'.repeat(auditPayloadBytesMax))
  expect(await keeping.run(order, async () => ({ value: 7 }))).toMatchObject({ kind: 'done', value: 7 })
  const [id = ''] = await idsOf(person)
  expect((await payload(person, id)).status).toBe(404)
  expect(warned.at(-1)).toMatchObject({ record: id })
})

test('a payload is for its wallet, its tenant’s admins and operators; for others it does not exist', async () => {
  const worker = await rig.join({ tenant: 'quay', roles: ['owner'] })
  await keeping.run(orderOf(worker, 'read'), async () => ({ value: 1 }))
  const [id = ''] = await idsOf(worker)
  const colleague = await rig.join({ tenant: 'quay', roles: ['owner'] })
  const stranger = await rig.join()
  const chief = await rig.join({ tenant: 'quay', roles: ['admin'] })
  const neighbour = await rig.join({ tenant: 'mole', roles: ['admin'] })
  const operator = await rig.join({ tenant: 'house', roles: ['operator'] })
  const statuses = await Promise.all(
    [worker, chief, operator, colleague, stranger, neighbour].map(async (person) => (await payload(person, id)).status),
  )
  expect(statuses).toEqual([200, 200, 200, 404, 404, 404])
  expect((await payload(worker, 'x')).status).toBe(400)
})

test('a payload that was exchanged opens for no other record, and one that was touched does not open', async () => {
  const person = await rig.join()
  await keeping.run(orderOf(person, 'read', 'one'), async () => ({ value: 1 }))
  await keeping.run(orderOf(person, 'read', 'two'), async () => ({ value: 1 }))
  const [one = '', two = ''] = await idsOf(person)
  const swap = 'UPDATE audit_payload SET sealed = (SELECT sealed FROM audit_payload WHERE id = $1) WHERE id = $2'
  await asIntruder(rig.api.database, swap, [one, two])
  expect((await payload(person, two)).status).toBe(500)
})

test('payloads are dropped when their class is over; records, hashes and the chain stay', async () => {
  const person = await rig.join()
  for (let n = 0; n < 6; n += 1) await keeping.run(orderOf(person, 'read', `payload ${n}`), async () => ({ value: n }))
  const ids = await idsOf(person)
  const ages = [29, 31, 89, 91, 179, 181]
  const age = `UPDATE audit_payload SET retention = $2, at = now() - make_interval(days => $3) WHERE id = $1`
  for (const [n, id] of ids.entries())
    await asIntruder(rig.api.database, age, [id, retentionClasses[Math.floor(n / 2)], ages[n]])
  const { dropPayloadsPage } = createAuditActivities({ pool: rig.api.database.pool })
  expect(await dropPayloadsPage()).toEqual({ dropped: 3, more: false })
  const statuses = await Promise.all(ids.map(async (id) => (await payload(person, id)).status))
  expect(statuses).toEqual([200, 404, 200, 404, 200, 404])
  expect(await person.json('POST', '/api/v1/audit/verify', {})).toEqual({ ok: true, checkedSeq: 6, cursor: null })
  const { records } = await person.json('GET', '/api/v1/audit')
  for (const record of records as { input_sha256: unknown }[]) expect(record.input_sha256).toMatch(/^[0-9a-f]{64}$/)
})

test('many are dropped a page at a time', async () => {
  const row = { tenant: 'old', retention: '30d', sealed: Buffer.from('x'), at: new Date('2020-01-01') } as const
  const { pool } = rig.api.database
  await insertPayload(pool, { ...row, id: '11111111-1111-4111-8111-111111111111' })
  await query(
    `INSERT INTO audit_payload SELECT gen_random_uuid(), tenant, retention, sealed, at FROM audit_payload, generate_series(1, $1) WHERE tenant = 'old'`,
    [auditPayloadPageRows],
  )
  const { dropPayloadsPage } = createAuditActivities({ pool })
  expect(await dropPayloadsPage()).toEqual({ dropped: auditPayloadPageRows, more: true })
  expect(await dropPayloadsPage()).toEqual({ dropped: 1, more: false })
})

test('the shortest class that a rule which decides names is that of the record and its payload', async () => {
  const person = await rig.join()
  const kept = (id: string, retention: '30d' | '180d') => ({ ...ruleOf(id, { kind: 'allow' }), retention })
  await using gateway = await openGateway(rig.api.database, {
    masterKey: testMasterKey,
    policy: policyOf(allowAll, kept('long', '180d'), kept('short', '30d')),
  })
  const log = { warn: (fact: unknown) => void warned.push(fact) }
  const deps = { pool: rig.api.database.pool, seal: createSeal(testMasterKey), log }
  await keepPayloads(gateway.pipeline, deps).run(orderOf(person, 'read'), async () => ({ value: 1, output: 'x' }))
  await gateway.sealer.drain()
  const [record] = await recordsOf(rig.api.database.pool, person.principal.tenant)
  expect(record?.policy.retention).toBe('30d')
  expect(await query('SELECT retention FROM audit_payload WHERE id = $1', [record?.id])).toEqual([{ retention: '30d' }])
})
