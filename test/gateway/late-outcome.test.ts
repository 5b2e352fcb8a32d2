// Outcomes that come late or twice: what is known of an effect wins over what nobody knew.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { insertPending, recordOutcome } from '../../db/audit.ts'
import { decide } from '../../domain/policy/combine.ts'
import type { Principal } from '../../domain/principal.ts'
import { auditIntent, auditOutcome, unknownOutcome } from '../../gateway/audit-record.ts'
import { sealBatch } from '../../gateway/seal-chain.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { allowAll, createPerson, openGateway, policyOf, recordsOf, toolCall } from './fixture.ts'

let database: TestDatabase
let person: Principal

beforeAll(async () => {
  database = await createTestDatabase()
  person = await createPerson(database.pool)
})
afterAll(() => database[Symbol.asyncDispose]())

const log = { error: () => undefined }
const ok = auditOutcome({ status: 'ok' }, performance.now())

function intentOf(effectKey: string) {
  const call = toolCall(person, 'read', { effectKey })
  return auditIntent({ call, decision: decide(policyOf(allowAll), call), at: new Date(), span: null })
}

test.each([
  ['before', 0],
  ['after', 1],
])('a known outcome is sealed, whether it is read %s one that nobody knew', async (_title, at) => {
  await using gateway = await openGateway(database, {})
  const id = randomUUID()
  const intent = intentOf('twice')
  const pieces = [{ id, intent, outcome: unknownOutcome }]
  pieces.splice(at, 0, { id, intent, outcome: ok })
  await sealBatch({ pool: database.pool, keys: gateway.keys, log }, { tenant: person.tenant, evidence: pieces })
  const sealed = await recordsOf(database.pool, person.tenant)
  expect(sealed.filter((each) => each.id === id).map(({ status }) => status)).toEqual(['ok'])
})

test('what waits in the table as unknown takes the outcome that comes after it, and keeps it', async () => {
  const id = randomUUID()
  const intent = intentOf('parked')
  for (const outcome of [unknownOutcome, ok, unknownOutcome])
    await insertPending(database.pool, person.tenant, [{ id, intent, outcome }])
  const { rows } = await database.pool.query("SELECT outcome->>'status' AS status FROM audit_pending WHERE id = $1", [
    id,
  ])
  expect(rows).toEqual([{ status: 'ok' }])
  const open = randomUUID()
  await database.pool.query('INSERT INTO audit_pending (id, tenant, intent) VALUES ($1, $2, $3)', [
    open,
    person.tenant,
    intent,
  ])
  await insertPending(database.pool, person.tenant, [{ id: open, intent, outcome: unknownOutcome }])
  expect(await recordOutcome(database.pool, open, ok)).toBe(true)
  await database.pool.query('DELETE FROM audit_pending')
})
