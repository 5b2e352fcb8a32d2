// Rates and quotas in the pipeline: who is counted, what is refused and recorded, what is given back.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPostgresQuota } from '../../db/quota.ts'
import type { LimitEffect, Rule } from '../../domain/policy/rule.ts'
import type { Principal } from '../../domain/principal.ts'
import { createMemoryQuota } from '../../gateway/quota-memory.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { allowAll, createPerson, fund, holdOf, openGateway, policyOf, recordsOf, ruleOf, toolCall } from './fixture.ts'

let database: TestDatabase
const opened: AsyncDisposable[] = []
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  for (const each of opened) await each[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const limit = (id: string, over: Partial<LimitEffect>, match: Rule['match'] = {}): Rule =>
  ruleOf(id, { kind: 'limit', meter: 'requests-per-minute', amount: 2, per: 'human', rank: 'default', ...over }, match)

async function gatewayWith(rules: readonly Rule[], quota = createMemoryQuota()) {
  const gateway = await openGateway(database, { policy: policyOf(allowAll, ...rules), quota })
  opened.push(gateway)
  const call = (person: Principal, over: Parameters<typeof toolCall>[2] = {}, effectClass: 'read' | 'write' = 'read') =>
    gateway.pipeline.run(toolCall(person, effectClass, over), async () => ({ value: 'fine' }))
  const records = async (person: Principal) => {
    await gateway.sealer.drain()
    return recordsOf(database.pool, person.tenant)
  }
  return { gateway, call, records }
}

test.each(['memory', 'Postgres'])('six calls with room for three leave six records (counters in %s)', async (where) => {
  const quota = where === 'memory' ? createMemoryQuota() : createPostgresQuota(database.pool)
  const daily = limit('three-a-day', { meter: 'calls-per-day', amount: 3 })
  const forbidden = ruleOf('no-writes', { kind: 'deny', hard: false }, { classes: ['write'] })
  const { call, records } = await gatewayWith([daily, forbidden], quota)
  const person = await createPerson(database.pool)
  for (let n = 0; n < 3; n += 1)
    expect(await call(person)).toMatchObject({ kind: 'done', signs: { quotaRemaining: 2 - n } })
  expect(await call(person, {}, 'write')).toMatchObject({ kind: 'refused', code: 'policy-refused' })
  for (let n = 0; n < 2; n += 1) {
    expect(await call(person)).toMatchObject({
      kind: 'refused',
      code: 'quota-exceeded',
      details: { meter: 'calls-per-day', remaining: 0, resetAt: expect.stringMatching(/T00:00:00\.000Z$/) },
    })
  }
  expect(
    (await records(person)).map(({ status, error_code, policy }) => [status, error_code, policy.rules.join()]),
  ).toEqual([
    ['ok', null, 'allow-all'],
    ['ok', null, 'allow-all'],
    ['ok', null, 'allow-all'],
    ['denied', 'policy-refused', 'no-writes'],
    ['refused', 'quota-exceeded', 'three-a-day'],
    ['refused', 'quota-exceeded', 'three-a-day'],
  ])
})

test('a person is counted over agents and sessions, another person of the same agent and tenant is not touched', async () => {
  const { call } = await gatewayWith([limit('two-a-minute', {})])
  const [one, other] = [await createPerson(database.pool), await createPerson(database.pool)]
  const through = (person: Principal, id: string): Principal => ({
    ...person,
    tenant: 'acme',
    actorChain: [{ kind: 'agent', id }],
  })
  expect((await call(through(one, 'a'))).kind).toBe('done')
  expect((await call(through(one, 'b'))).kind).toBe('done')
  expect(await call(through(one, 'c'))).toMatchObject({ code: 'rate-limited', retryAfterMs: expect.any(Number) })
  expect((await call(through(other, 'a'))).kind).toBe('done')
})

test('per tool beats plan beats default, and each tool of a tenant counts by itself', async () => {
  const per = { meter: 'calls-per-day', per: 'tenant-tool' } as const
  const { call } = await gatewayWith([
    limit('default', { ...per, amount: 9 }),
    limit('plan', { ...per, amount: 3, rank: 'plan' }, { tenants: ['acme'] }),
    limit('tool', { ...per, amount: 1, rank: 'tool' }, { resources: ['tool:notes/read_note'] }),
  ])
  const person = { ...(await createPerson(database.pool)), tenant: 'acme' }
  const other = (name: string) => ({
    resource: { kind: 'tool' as const, name, effectClass: 'read' as const, owner: person.wallet },
  })
  expect(await call(person)).toMatchObject({ kind: 'done', signs: { quotaRemaining: 0 } })
  expect(await call(person)).toMatchObject({ code: 'quota-exceeded', decision: { ruleIds: ['tool'] } })
  expect(await call(person, other('notes/list'))).toMatchObject({ kind: 'done', signs: { quotaRemaining: 2 } })
  expect(await call({ ...person, tenant: 'else' }, other('notes/list'))).toMatchObject({ signs: { quotaRemaining: 8 } })
})

test('a rate is named before a quota, and takes nothing when the quota refuses', async () => {
  const { call } = await gatewayWith([
    limit('a-day', { meter: 'calls-per-day', amount: 1 }),
    limit('a-minute', { amount: 2 }),
  ])
  const person = await createPerson(database.pool)
  expect((await call(person)).kind).toBe('done')
  for (let n = 0; n < 3; n += 1) expect(await call(person)).toMatchObject({ code: 'quota-exceeded' })
})

test('what money refuses is given back, and so is what a transaction took back', async () => {
  const { call } = await gatewayWith([limit('a-day', { meter: 'calls-per-day', amount: 1 })])
  const person = await createPerson(database.pool)
  expect(await call(person, { hold: holdOf(10n) })).toMatchObject({ code: 'insufficient-funds' })
  const fault = { hold: { ...holdOf(10n), revenue: 99 as 2 } }
  await fund(database.pool, person, 100n)
  await expect(call(person, fault)).rejects.toThrow(/ledger_hold|invariant|answered|not_allowed/)
  expect((await call(person, { hold: holdOf(10n) })).kind).toBe('done')
  expect(await call(person, { hold: holdOf(10n) })).toMatchObject({ code: 'quota-exceeded' })
})

test('tokens are taken as expected and corrected to what was used; what failed used none, and counts as a request', async () => {
  const { gateway, call } = await gatewayWith([
    limit('tokens', { meter: 'tokens-per-minute', amount: 60_000 }),
    limit('requests', { amount: 4 }),
  ])
  const person = await createPerson(database.pool)
  const using = (tokens: number, inputTokens: number) =>
    gateway.pipeline.run(toolCall(person, 'read', { tokens }), async () => ({
      value: '',
      usage: { inputTokens, outputTokens: 0, images: 7 },
    }))
  expect((await using(59_000, 100)).kind).toBe('done')
  expect((await using(59_000, 70_000)).kind).toBe('done')
  expect(await call(person)).toMatchObject({ code: 'rate-limited', details: { meter: 'tokens-per-minute' } })
  const another = await createPerson(database.pool)
  const failing = gateway.pipeline.run(toolCall(another, 'read', { tokens: 60_000 }), async () => {
    throw new Error('cut')
  })
  await expect(failing).rejects.toThrow('cut')
  expect(await call(another, { tokens: 60_000 })).toMatchObject({ kind: 'done', signs: { rateRemaining: 2 } })
})

test('counters that cannot be asked let nothing pass', async () => {
  const broken = { ...createMemoryQuota(), take: async () => Promise.reject(new Error('The store is down.')) }
  const { call } = await gatewayWith([limit('two', {})], broken)
  await expect(call(await createPerson(database.pool))).rejects.toThrow('The store is down.')
})

test('people of two tenants with one name are two, and no name looks like another counter', async () => {
  const { call } = await gatewayWith([limit('one', { amount: 1 })])
  const named = async (tenant: string, id: string) =>
    createPerson(database.pool, { tenant, subject: { kind: 'human', id } })
  const people = [
    await named('t1', 'ann'),
    await named('t2', 'ann'),
    await named('t1', 'ann|tool.call'),
    await named('t1/ann', ''),
    await named('t1', '/ann'),
    await named('t1/', 'ann'),
  ]
  for (const person of people) expect(await call(person)).toMatchObject({ kind: 'done' })
  for (const person of people) expect(await call(person)).toMatchObject({ kind: 'refused', code: 'rate-limited' })
})

test('a tool has no counter of another by its name', async () => {
  const { call } = await gatewayWith([limit('one', { amount: 1, per: 'tenant-tool' })])
  const person = await createPerson(database.pool)
  for (const name of ['notes/a', 'notes/a|tool.call', 'notes/a:b']) {
    const over = { resource: { kind: 'tool', name, effectClass: 'read', owner: person.wallet } } as const
    expect(await call(person, over)).toMatchObject({ kind: 'done' })
  }
})

test.each(['memory', 'Postgres'])(
  'limits of one counter count together, each call by its weight (counters in %s)',
  async (where) => {
    const quota = where === 'memory' ? createMemoryQuota() : createPostgresQuota(database.pool)
    const free = { meter: 'calls-per-day', amount: 3, counter: 'free' } as const
    const asks = limit('asks', free, { classes: ['write'] })
    const tools = limit('tools', { ...free, weight: 0.25 }, { classes: ['read'] })
    const { call } = await gatewayWith([asks, tools], quota)
    const person = await createPerson(database.pool)
    for (const left of [2, 1])
      expect(await call(person, {}, 'write')).toMatchObject({ signs: { quotaRemaining: left } })
    for (const left of [0, 0, 0, 0])
      expect(await call(person)).toMatchObject({ kind: 'done', signs: { quotaRemaining: left } })
    for (const kind of ['read', 'write'] as const)
      expect(await call(person, {}, kind)).toMatchObject({
        code: 'quota-exceeded',
        details: { resetAt: expect.any(String) },
      })
  },
)
