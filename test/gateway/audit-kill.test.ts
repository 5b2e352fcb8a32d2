// Evidence of processes that die without a word. The long form is `npm run prove -- audit`.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { killAndJudge, killPoints } from '../support/evidence-kill.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  await database?.[Symbol.asyncDispose]()
})

const after = {
  'before-bytes': 'an intent is recorded and before its bytes leave',
  'after-upstream': 'the upstream has answered and before its outcome is recorded',
  'after-outcome': 'an outcome is recorded and before it is sealed',
  'in-seal': 'the sealer has begun a transaction',
  'before-commit': 'the sealer has written records and before it commits',
} as const

test.each(killPoints.map((point) => [point, after[point]] as const))(
  '%s: a process that is killed after %s leaves no call without a record',
  async (point) => {
    const { broken, upstream, records } = await killAndJudge({
      ...{ database, perSecond: 200, calls: 20 },
      processes: [point],
    })
    expect(broken).toEqual([])
    expect(upstream).toBeGreaterThan(0)
    expect(records).toBeGreaterThanOrEqual(upstream)
  },
  30_000,
)

test('two processes write one chain, and one of them is killed among many decisions: nothing answered is lost', async () => {
  const seen = await killAndJudge({ database, perSecond: 400, calls: 500, processes: [600, null] })
  expect(seen.broken).toEqual([])
  expect(seen.answered).toBeGreaterThan(500)
}, 40_000)
