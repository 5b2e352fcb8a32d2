// One suite for every store of counters: memory and Postgres answer the same, number for number. A store that joins joins
// the table.
import fc from 'fast-check'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPool, type Pool } from '../../db/pool.ts'
import { createPostgresQuota } from '../../db/quota.ts'
import { meters } from '../../domain/policy/rule.ts'
import { dayMs, type Take } from '../../domain/quota.ts'
import type { QuotaStore } from '../../gateway/ports.ts'
import { createMemoryQuota } from '../../gateway/quota-memory.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let second: Pool
beforeAll(async () => {
  database = await createTestDatabase()
  second = createPool({ url: database.url, connectionsMax: 8 })
})
afterAll(async () => {
  await second.end()
  await database[Symbol.asyncDispose]()
})

const noon = Date.UTC(2026, 10, 26, 12)
const clock = { now: noon }
const stores = {
  memory: (): QuotaStore => createMemoryQuota(() => clock.now),
  Postgres: (): QuotaStore => createPostgresQuota(database.pool, () => clock.now),
}
const key = () => randomUUID()
const calls = (over: Partial<Take> = {}): Take => ({
  key: key(),
  meter: 'calls-per-second',
  limit: 5,
  burst: 5,
  amount: 1,
  ...over,
})

describe.each(Object.entries(stores))('counters in %s', (_, open) => {
  test('take all or none: what an earlier counter gave is not taken when a later one refuses', async () => {
    const store = open()
    const [rate, day] = [calls(), calls({ meter: 'calls-per-day', limit: 1, burst: 1 })]
    expect(await store.take([rate, day])).toMatchObject({
      ok: true,
      at: clock.now,
      readings: [{ remaining: 4 }, { remaining: 0, resetAt: noon + dayMs / 2 }],
    })
    expect(await store.take([rate, day])).toEqual({
      ok: false,
      refused: 1,
      waitMs: dayMs / 2,
      reading: { remaining: 0, resetAt: noon + dayMs / 2 },
    })
    expect(await store.take([rate])).toMatchObject({ ok: true, readings: [{ remaining: 3 }] })
  })

  test('give back what was taken, and count more', async () => {
    const store = open()
    const take = calls({ meter: 'tokens-per-minute', limit: 100, burst: 100, amount: 60 })
    await store.take([take])
    await store.adjust([{ ...take, amount: -60, takenAt: clock.now }])
    expect(await store.take([{ ...take, amount: 0 }])).toMatchObject({ ok: true, readings: [{ remaining: 100 }] })
    await store.adjust([{ ...take, amount: 130, takenAt: clock.now }])
    expect(await store.take([{ ...take, amount: 0 }])).toMatchObject({ ok: false, waitMs: 18_600 })
  })

  test('a sustained rate passes within 5 % after its burst', async () => {
    const store = open()
    const take = calls({ limit: 20, burst: 40 })
    let passed = 0
    for (let tick = 0; tick < 200; tick += 1) {
      clock.now += 25 // 40 calls a second for 5 s
      if ((await store.take([take])).ok) passed += 1
    }
    clock.now = noon
    expect(passed).toBeGreaterThanOrEqual(Math.floor((40 + 20 * 5) * 0.95))
    expect(passed).toBeLessThanOrEqual(Math.ceil((40 + 20 * 5) * 1.05))
  })

  test('forget counters that have drained and no others', async () => {
    const store = open()
    const [drains, stays] = [calls(), calls({ meter: 'calls-per-day' })]
    await store.take([drains, stays])
    clock.now += 10_000
    expect(await store.purge()).toBeGreaterThanOrEqual(1)
    expect(await store.take([stays])).toMatchObject({ ok: true, readings: [{ remaining: 3 }] })
    clock.now = noon
  })

  test('200 at once with room for 50: exactly 50', async () => {
    const store = open()
    const take = calls({ meter: 'calls-per-day', limit: 50, burst: 50 })
    const answers = await Promise.all(Array.from({ length: 200 }, () => store.take([take])))
    expect(answers.filter(({ ok }) => ok)).toHaveLength(50)
  })
})

test('200 at once from two processes of many meters in any order: exactly what fits, and no deadlock', async () => {
  const [one, other] = [createPostgresQuota(database.pool), createPostgresQuota(second)]
  const shared = [
    calls({ meter: 'calls-per-day', limit: 50, burst: 50 }),
    calls({ meter: 'calls-per-day', limit: 70, burst: 70 }),
  ]
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_none, n) => {
      const takes = n % 2 === 0 ? shared : shared.toReversed()
      return (n % 3 === 0 ? one : other).take([...takes, calls({ key: `own-${n % 5}`, limit: 1_000, burst: 1_000 })])
    }),
  )
  expect(answers.filter(({ ok }) => ok)).toHaveLength(50)
})

test('the application may read counters and change them by the functions only', async () => {
  for (const sql of [
    'UPDATE quota_counter SET used = 0',
    'DELETE FROM quota_counter',
    "INSERT INTO quota_counter VALUES ('a', 0, 0, 0)",
  ])
    await expect(database.pool.query(sql)).rejects.toThrow('permission denied')
})

const names = fc.constantFrom('a', 'b', 'c')
const meter = fc.constantFrom(...meters)
const take = fc.record({
  name: names,
  meter,
  limit: fc.constantFrom(1, 2, 7, 50),
  burst: fc.constantFrom(1, 3, 50),
  amount: fc.nat(4),
})
const step = fc.record({
  waitMs: fc.constantFrom(-500, 0, 1, 90, 999, 1_000, 30_000, dayMs / 2),
  takes: fc.uniqueArray(take, { minLength: 1, maxLength: 3, selector: ({ name, meter: of }) => `${name}${of}` }),
  back: fc.option(fc.integer({ min: -4, max: 4 })),
})

test('both stores answer every sequence alike', async () => {
  let round = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      round += 1
      clock.now = noon
      const [memory, postgres] = [stores.memory(), stores.Postgres()]
      for (const { waitMs, takes, back } of steps) {
        clock.now += waitMs
        const asked = takes.map(({ name, ...rest }) => ({ ...rest, key: `${round}:${name}:${rest.meter}` }))
        expect(await postgres.take(asked)).toEqual(await memory.take(asked))
        if (back === null) continue
        const changes = asked.map((each) => ({ ...each, amount: back, takenAt: clock.now - 40 }))
        await Promise.all([memory.adjust(changes), postgres.adjust(changes)])
      }
    }),
    { numRuns: 80, endOnFailure: true },
  )
  clock.now = noon
})

test('a full memory forgets rates before it refuses, and never what is used of a day', async () => {
  const store = createMemoryQuota(() => clock.now, 3)
  const days = [1, 2].map(() => calls({ meter: 'calls-per-day', limit: 1, burst: 1 }))
  const rate = calls({ limit: 1, burst: 1 })
  expect(await store.take([rate])).toMatchObject({ ok: true })
  for (const day of days) expect(await store.take([day])).toMatchObject({ ok: true })
  const third = calls({ meter: 'calls-per-day', limit: 1, burst: 1 })
  expect(await store.take([third])).toMatchObject({ ok: true }) // in the place of the rate
  for (const day of [...days, third]) expect(await store.take([day])).toMatchObject({ ok: false, refused: 0 })
  expect(await store.take([rate])).toMatchObject({ ok: false, waitMs: 1_000, reading: { remaining: 0 } })
  clock.now += dayMs
  expect(await store.take([rate])).toMatchObject({ ok: true })
  clock.now = noon
})

test('a full memory costs a call no more than a look at a few counters', async () => {
  const store = createMemoryQuota(() => clock.now, 20_000)
  const fill = Array.from({ length: 20_000 }, () => calls({ meter: 'calls-per-day', limit: 9, burst: 9 }))
  for (const take of fill) await store.take([take])
  const timed = async (work: () => Promise<unknown>) => {
    const before = process.cpuUsage()
    for (let n = 0; n < 500; n += 1) await work()
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  const held = await timed(() =>
    store.take([calls({ key: fill[7]?.key ?? '', meter: 'calls-per-day', limit: 900, burst: 900 })]),
  )
  const refused = await timed(() => store.take([calls({ meter: 'calls-per-day', limit: 9, burst: 9 })]))
  expect(refused).toBeLessThan(held + 500 * 400) // microseconds; a scan of all takes some 2,000 each
})
