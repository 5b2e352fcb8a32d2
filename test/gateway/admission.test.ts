// A door with an admission of its own: its record stands with what it wrote, or says why nothing was written.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inTransaction } from '../../db/transaction.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createPerson, openGateway, recordsOf, toolCall, type Gateway } from './fixture.ts'

let database: TestDatabase
let gateway: Gateway

beforeAll(async () => {
  database = await createTestDatabase()
  gateway = await openGateway(database)
})
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
  await database?.[Symbol.asyncDispose]()
})

test('records an admission in the transaction of its door, and a fault of the door as one', async () => {
  const person = await createPerson(database.pool)
  const call = toolCall(person, 'write')
  const answer = await gateway.pipeline.admit(call, ({ record }) =>
    inTransaction(database.pool, async (client) => {
      await record(client)
      return 'in'
    }),
  )
  expect(answer).toMatchObject({ kind: 'done', value: 'in' })
  const fault = new Error('no room')
  const failing = gateway.pipeline.admit(call, ({ record }) =>
    inTransaction(database.pool, async (client) => {
      await record(client)
      throw fault
    }),
  )
  await expect(failing).rejects.toBe(fault)
  await gateway.sealer.drain()
  expect(await recordsOf(database.pool, person.tenant)).toMatchObject([
    { status: 'admitted', error_code: null },
    { status: 'error', error_code: 'internal' },
  ])
})
