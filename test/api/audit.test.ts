// The chain over HTTP: who sees what, filters and pages, and verification that names what was touched.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { verifyFor } from '../../gateway/audit-view.ts'
import type { VerifyAnswer } from '../../schemas/audit-view.ts'
import { asIntruder } from '../gateway/fixture.ts'
import { createEvidenceRig, type EvidenceRig, type Witness } from '../support/evidence-rig.ts'

let rig: EvidenceRig
let owner: Witness

beforeAll(async () => {
  rig = await createEvidenceRig()
  owner = await rig.join()
  await owner.act(5)
})
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]()
})

const recordsOf = (body: Record<string, unknown>) => body['records'] as Record<string, unknown>[]
const seqsOf = (body: Record<string, unknown>) => recordsOf(body).map((record) => record['seq'])

test.each([
  'limit=0x1',
  'limit=201',
  'wallet=me',
  'decision=maybe',
  'since=yesterday',
  'cursor=',
  'cursor=AAAA',
  'colour=red',
  'agent=a&agent=b',
])('a query with %s is refused', async (query) => {
  const reply = await owner.call('GET', `/api/v1/audit?${query}`)
  expect([reply.status, reply.headers.get('content-type')]).toEqual([400, expect.stringMatching(/problem\+json/)])
  expect(((await reply.json()) as { code: string }).code).toBe('request-invalid')
})

test("another's records, tenant and wallet do not exist for a wallet", async () => {
  const [stranger, colleague] = [await rig.join(), await rig.join({ tenant: 'acme', roles: ['owner'] })]
  await colleague.act(1)
  const neighbour = await rig.join({ tenant: 'acme', roles: ['owner'] })
  expect(await stranger.json('GET', '/api/v1/audit')).toEqual({ records: [], cursor: null })
  expect(await neighbour.json('GET', '/api/v1/audit')).toEqual({ records: [], cursor: null })
  for (const query of [`wallet=${owner.principal.wallet}`, `tenant=${owner.principal.tenant}`, 'tenant=acme']) {
    expect((await stranger.call('GET', `/api/v1/audit?${query}`)).status).toBe(404)
  }
  for (const [method, path] of [
    ['GET', '/api/v1/audit/checkpoints?tenant=acme'],
    ['POST', '/api/v1/audit/verify'],
  ] as const) {
    const reply = await stranger.call(method, path, method === 'POST' ? { tenant: 'acme' } : undefined)
    expect(reply.status).toBe(404)
  }
})

test('admins and approvers see their tenant, operators all, and nobody by the role alone', async () => {
  const worker = await rig.join({ tenant: 'plant', roles: ['owner'] })
  await worker.act(2)
  for (const role of ['admin', 'approver'] as const) {
    const chief = await rig.join({ tenant: 'plant', roles: [role] })
    expect(seqsOf(await chief.json('GET', '/api/v1/audit'))).toEqual([2, 1])
    expect(seqsOf(await chief.json('GET', `/api/v1/audit?wallet=${worker.principal.wallet}`))).toEqual([2, 1])
    expect(seqsOf(await chief.json('GET', `/api/v1/audit?wallet=${owner.principal.wallet}`))).toEqual([])
    expect((await chief.call('GET', `/api/v1/audit?tenant=${owner.principal.tenant}`)).status).toBe(404)
  }
  const operator = await rig.join({ tenant: 'house', roles: ['operator'] })
  const tenants = recordsOf(await operator.json('GET', '/api/v1/audit')).map((record) => record['tenant'])
  expect(new Set(tenants)).toEqual(new Set([owner.principal.tenant, 'acme', 'plant']))
  expect(seqsOf(await operator.json('GET', '/api/v1/audit?tenant=plant'))).toEqual([2, 1])
})

test('pages hold each record once, newest first, while the chain grows', async () => {
  const seen: unknown[] = []
  let cursor: unknown = ''
  do {
    const page: Record<string, unknown> = await owner.json(
      'GET',
      `/api/v1/audit?limit=2${cursor === '' ? '' : `&cursor=${String(cursor)}`}`,
    )
    seen.push(...seqsOf(page))
    if (cursor === '') await owner.act(1)
    cursor = page['cursor']
  } while (cursor !== null)
  expect(seen).toEqual([5, 4, 3, 2, 1])
})

test('filters: agent, tool with and without its server, decision, time', async () => {
  const person = await rig.join()
  const resource = { kind: 'tool', name: 'mail/send', effectClass: 'read', owner: person.principal.wallet } as const
  const viaAgent = { ...person.principal, actorChain: [{ kind: 'agent', id: 'assistant' }] as const }
  await person.act(1, { principal: viaAgent })
  await person.act(1, { resource })
  const count = async (query: string) => recordsOf(await person.json('GET', `/api/v1/audit?${query}`)).length
  expect(await count('agent=assistant')).toBe(1)
  expect(await count('agent=nobody')).toBe(0)
  expect(await count('tool=mail/send')).toBe(1)
  expect(await count('tool=send')).toBe(1)
  expect(await count('tool=notes/send')).toBe(0)
  expect(await count('decision=allow')).toBe(2)
  expect(await count('decision=deny')).toBe(0)
  const later = new Date(Date.now() + 60_000).toISOString()
  expect(await count(`until=${later}`)).toBe(2)
  expect(await count(`since=${later}`)).toBe(0)
})

test('each filter has an index', async () => {
  const { pool } = rig.api.database
  await using session = await sessionOf(pool)
  await session.query('SET enable_seqscan = off')
  for (const condition of [
    "tenant = 'a'",
    'wallet_id = 1',
    "agent = 'a'",
    "tool = 'a'",
    "decision = 'deny'",
    "tenant = 'a' AND at >= now()",
  ]) {
    const { rows } = await session.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT 1 FROM audit_record WHERE ${condition} ORDER BY ordinal DESC LIMIT 5`,
    )
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
    expect(plan).toMatch(/Index/)
    expect(plan).not.toMatch(/Seq Scan/)
  }
})

test('a whole chain verifies, in steps when it is long, and a broken record is named', async () => {
  const person = await rig.join()
  expect(await person.json('POST', '/api/v1/audit/verify', {})).toEqual({ ok: true, checkedSeq: 0, cursor: null })
  await person.act(4)
  expect(await person.json('POST', '/api/v1/audit/verify', {})).toEqual({ ok: true, checkedSeq: 4, cursor: null })
  const touch = `UPDATE audit_record SET body = replace(body, '"status":"ok"', '"status":"held"') WHERE tenant = $1 AND seq = 3`
  await asIntruder(rig.api.database, touch, [person.principal.tenant])
  expect(await person.json('POST', '/api/v1/audit/verify', {})).toMatchObject({ ok: false, firstBrokenSeq: 3 })
  expect((await person.call('POST', '/api/v1/audit/verify', { cursor: 'AAAA' })).status).toBe(400)
  expect((await person.call('POST', '/api/v1/audit/verify', { all: true })).status).toBe(400)
})

test('verification goes in steps, each bounded, and the steps are the whole', async () => {
  const person = await rig.join()
  await person.act(5)
  const deps = { pool: rig.api.database.pool, keys: rig.gateway.keys, verifyRecords: 2 }
  const first = await verifyFor(deps, person.principal, {})
  expect(first).toEqual({ ok: true, checkedSeq: 2, cursor: expect.any(String) as string })
  const second = await verifyFor(deps, person.principal, { cursor: cursorOf(first) })
  expect(second).toMatchObject({ ok: true, checkedSeq: 4 })
  await asIntruder(rig.api.database, 'DELETE FROM audit_record WHERE tenant = $1 AND seq = 5', [
    person.principal.tenant,
  ])
  expect(await verifyFor(deps, person.principal, { cursor: cursorOf(second) })).toMatchObject({
    ok: false,
    firstBrokenSeq: 5,
  })
  // A made-up place is no link of this chain.
  const madeUp = Buffer.from(`verify:2.${'0'.repeat(64)}`).toString('base64url')
  expect(await verifyFor(deps, person.principal, { cursor: madeUp })).toMatchObject({ ok: false, firstBrokenSeq: 3 })
})

const cursorOf = (answer: VerifyAnswer) => (answer.ok ? (answer.cursor ?? undefined) : undefined)

test('a chain that was cut off together with its head is betrayed by its checkpoint', async () => {
  const person = await rig.join()
  await person.act(4)
  await rig.cover(person.principal.tenant)
  const { checkpoints } = (await person.json('GET', '/api/v1/audit/checkpoints')) as { checkpoints: { seq: number }[] }
  expect(checkpoints.map(({ seq }) => seq)).toEqual([4])
  await asIntruder(rig.api.database, 'DELETE FROM audit_record WHERE tenant = $1 AND seq > 2', [
    person.principal.tenant,
  ])
  const head = `UPDATE audit_head SET seq = 2, sha256 = (SELECT sha256 FROM audit_record WHERE tenant = $1 AND seq = 2) WHERE tenant = $1`
  await asIntruder(rig.api.database, head, [person.principal.tenant])
  expect(await person.json('POST', '/api/v1/audit/verify', {})).toEqual({
    ok: false,
    firstBrokenSeq: 3,
    reason: 'the chain ends before its checkpoint',
  })
})

test('a record that was made unreadable hides no other', async () => {
  const person = await rig.join()
  await person.act(2)
  await asIntruder(rig.api.database, "UPDATE audit_record SET body = '{' WHERE tenant = $1 AND seq = 1", [
    person.principal.tenant,
  ])
  const [second, first] = recordsOf(await person.json('GET', '/api/v1/audit'))
  expect([second?.['seq'], first]).toEqual([2, { tenant: person.principal.tenant, seq: 1, unreadable: true }])
})

test('the public keys of the chain are for anybody, and hold nothing private', async () => {
  const { keys } = (await (await fetch(`${rig.api.url}/.well-known/audit-jwks.json`)).json()) as {
    keys: Record<string, unknown>[]
  }
  expect(keys).toEqual([expect.objectContaining({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' })])
  expect(keys.every((key) => !('d' in key))).toBe(true)
})

async function sessionOf(pool: EvidenceRig['api']['database']['pool']) {
  const client = await pool.connect()
  return {
    query: client.query.bind(client),
    [Symbol.asyncDispose]: async () => client.release(true),
  }
}
