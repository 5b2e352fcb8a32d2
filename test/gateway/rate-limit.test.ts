// Who counts as one caller for the limits of sign-in.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { authRequestsPerMinuteMax } from '../../domain/limits.ts'
import { limitCaller } from '../../gateway/rate-limit.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
beforeEach(() => database.pool.query('DELETE FROM rate_bucket'))
afterAll(() => database[Symbol.asyncDispose]())

const spend = async (addressOf: (index: number) => string, requests: number) => {
  for (let index = 0; index < requests; index += 1) {
    await limitCaller(database.pool, addressOf(index))
  }
}

test.each<[string, (index: number) => string, string]>([
  ['addresses of one IPv6 network', (index) => `2001:db8:1:2::${(index + 1).toString(16)}`, '2001:db8:1:2:a:b:c:d'],
  ['addresses of one short IPv6 network', (index) => `2001:db8::${(index + 1).toString(16)}`, '2001:db8::f:0:0:1'],
  ['an IPv4 address and its mapped form', (index) => (index % 2 ? '::ffff:192.0.2.7' : '192.0.2.7'), '192.0.2.7'],
  ['one link-local network of two interfaces', (index) => `fe80::${index + 1}%eth${index % 2}`, 'fe80::abcd%eth2'],
])('%s are one caller', async (_name, addressOf, another) => {
  await spend(addressOf, authRequestsPerMinuteMax)
  await expect(spend(() => another, 1)).rejects.toMatchObject({ code: 'rate-limited' })
})

test.each([
  ['another IPv6 network', '2001:db8:1:3::1'],
  ['another IPv4 address', '192.0.2.8'],
  ['loopback', '::1'],
])('%s is another caller', async (_name, another) => {
  await spend(() => '2001:db8:1:2::1', authRequestsPerMinuteMax)
  await spend(() => '192.0.2.7', authRequestsPerMinuteMax)
  await expect(spend(() => another, 1)).resolves.toBeUndefined()
})
