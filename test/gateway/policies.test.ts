// The life of policies: what is refused a rewrite, what becomes active and when, and what a bad text leaves alone.
import pg from 'pg'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { activatePolicies, addPolicyVersion, readActivePolicies } from '../../db/policy.ts'
import { createListener } from '../../db/pool.ts'
import { inTransaction } from '../../db/transaction.ts'
import { createPolicies, type CompilePolicy, type PoliciesDeps } from '../../gateway/policies.ts'
import { importPolicies, type PolicyFile } from '../../gateway/policy-import.ts'
import { compilePolicyText } from '../../workers/files.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { deafListener, policyText, until } from '../support/policy-texts.ts'
import { decide } from '../../domain/policy/combine.ts'
import { policyFeedTimeoutMs, policyPermitMs } from '../../domain/limits.ts'
import { createPerson, openGateway, personWith, quiet, toolCall } from './fixture.ts'

let database: TestDatabase
const used: TestDatabase[] = []
beforeEach(async () => {
  database = await createTestDatabase()
  used.push(database)
})
afterAll(async () => {
  for (const each of used) await each[Symbol.asyncDispose]()
})

const log = { ...quiet, info: () => undefined }
const file = (id: string, over: Parameters<typeof policyText>[1] = {}): PolicyFile => ({
  name: `policy/${id}.yaml`,
  text: policyText(id, over),
})
const bring = (...files: PolicyFile[]) =>
  importPolicies({ pool: database.pool, compile: compilePolicyText }, async () => files)
const follow = (over: Partial<PoliciesDeps> = {}) =>
  createPolicies({
    pool: database.pool,
    compile: compilePolicyText,
    listener: () => createListener(database.url),
    log,
    ...over,
  })
const active = async () =>
  (await readActivePolicies(database.pool)).policies.map(({ policyId, version }) => `${policyId}@${version}`)
const put = (policyId: string, text: string) =>
  inTransaction(database.pool, async (client) => {
    const order = { policyId, source: 'api', name: policyId, text, sha256: 'x', declared: 1, by: 'test' } as const
    return activatePolicies(client, [{ policyId, version: await addPolicyVersion(client, order) }], 'test')
  })

test('nobody rewrites a version, a change or the epoch', async () => {
  await bring(file('a'))
  const app = (sql: string) => database.pool.query(sql)
  for (const table of ['policy_version', 'policy_change', 'policy_active', 'policy_head']) {
    await expect(app(`DELETE FROM ${table}`)).rejects.toThrow('permission denied')
    await expect(app(`INSERT INTO ${table} SELECT * FROM ${table}`)).rejects.toThrow('permission denied')
  }
  await expect(app("UPDATE policy_version SET text = ''")).rejects.toThrow('permission denied')
  const owner = new pg.Client({ connectionString: database.url })
  await owner.connect()
  try {
    await expect(owner.query("UPDATE policy_version SET text = ''")).rejects.toThrow('append-only')
    await expect(owner.query('DELETE FROM policy_change')).rejects.toThrow('append-only')
    await expect(owner.query('UPDATE policy_head SET epoch = epoch')).rejects.toThrow('only grows')
    await expect(owner.query('DELETE FROM policy_head')).rejects.toThrow('only grows')
  } finally {
    await owner.end()
  }
})

test('a changed file is a new version, a removed one retires its id, the same ones change nothing', async () => {
  expect(await bring(file('a'), file('b'))).toMatchObject({ epoch: 1, faults: [] })
  expect(await bring(file('b'), file('a'))).toMatchObject({ epoch: null, changes: [] })
  expect(await bring(file('a', { effect: 'deny' }), file('b'))).toMatchObject({
    epoch: 2,
    changes: [{ policyId: 'a', version: 2 }],
  })
  expect(await bring(file('a', { effect: 'deny', version: 7 }), file('b'))).toMatchObject({ epoch: 3 })
  expect(await active()).toEqual(['a@7', 'b@1'])
  expect(await bring(file('b'))).toMatchObject({ epoch: 4, changes: [{ policyId: 'a', version: null }] })
  expect(await active()).toEqual(['b@1'])
  expect(await bring(file('a'), file('b'))).toMatchObject({ changes: [{ policyId: 'a', version: 8 }] })
})

test('a file that changes its id retires the old one in the same epoch', async () => {
  await bring({ name: 'policy/x.yaml', text: policyText('old') })
  await bring({ name: 'policy/x.yaml', text: policyText('new') })
  expect(await active()).toEqual(['new@1'])
  expect((await readActivePolicies(database.pool)).epoch).toBe(2)
})

test('a bad file leaves its old version active and says why; a new bad one is said to be missing', async () => {
  await bring(file('a'), file('b'))
  const bad = { name: 'policy/a.yaml', text: policyText('a').replace('effect: allow', 'effect: maybe') }
  const report = await bring(bad, file('b', { effect: 'deny' }))
  expect(report.faults[0]).toMatch(/^policy\/a\.yaml:\d+: rule a-rule: effect: /)
  expect(report.missing).toEqual([])
  expect(await active()).toEqual(['a@1', 'b@2'])
  expect((await bring(bad, file('b'), { name: 'policy/c.yaml', text: '{' })).missing).toEqual(['policy/c.yaml'])
  expect(await active()).toEqual(['a@1', 'b@3'])
})

test('no file takes the id of another file or of the API', async () => {
  await put('mine', policyText('mine'))
  const second = { name: 'policy/z.yaml', text: policyText('a') }
  const report = await bring(file('a'), file('mine'), second)
  expect(report.faults).toEqual([
    'policy/mine.yaml:1: policy: mine is taken by the API',
    'policy/z.yaml:1: policy: a is taken by policy/a.yaml',
  ])
  expect(await active()).toEqual(['a@1', 'mine@1'])
})

test('whoever imports at the same time makes one version', async () => {
  const epochs = await Promise.all(Array.from({ length: 4 }, () => bring(file('a'))))
  expect(epochs.filter(({ epoch }) => epoch !== null)).toHaveLength(1)
})

test('every change of the files is an audit record with its epoch', async () => {
  await bring(file('a'))
  await bring()
  const { rows } = await database.pool.query<{ intent: { policy: object; sub: string } }>(
    'SELECT intent FROM audit_pending ORDER BY ordinal',
  )
  expect(rows.map(({ intent }) => intent)).toMatchObject([
    { action: 'policy.change', resource: 'a', sub: 'policy-files', policy: { version: 1, epoch: 1 } },
    { action: 'policy.change', resource: 'a', sub: 'policy-files', policy: { version: 0, epoch: 2 } },
  ])
})

test('nobody decides without having read the set once', async () => {
  await expect(follow({ pool: { query: () => Promise.reject(new Error('down')) } as never })).rejects.toThrow('down')
  await put('broken', 'policy: [')
  await expect(follow()).rejects.toThrow('cannot be used')
})

const asked = () => {
  const { principal, session, action, resource, facts } = toolCall(personWith({}), 'read')
  return { principal, session, action, resource, facts }
}

test('a new epoch is live within a second, and a decision carries it', async () => {
  await bring(file('a'))
  await using one = await follow()
  await using other = await follow()
  expect(decide(one.current(), asked())).toMatchObject({ kind: 'allow', policyId: 'a', version: 1, epoch: 1 })
  await bring(file('a', { effect: 'deny' }))
  await until(() => [one, other].every((each) => each.current().epoch === 2), 1_000)
  expect(decide(other.current(), asked())).toMatchObject({ kind: 'deny', policyId: 'a', version: 2, epoch: 2 })
  expect(Object.isFrozen(one.current())).toBe(true)
})

test('without notifications, polling brings a new epoch within a second', async () => {
  await using policies = await follow({ listener: deafListener })
  await bring(file('a'))
  await until(() => policies.current().epoch === 1, 1_000)
  expect(policies.state()).toBe('ok')
})

test('where nothing is active, nothing is allowed', async () => {
  await using policies = await follow()
  expect(decide(policies.current(), asked())).toMatchObject({ kind: 'deny', policyId: 'installation', ruleIds: [] })
})

test('what was not read lately says so, and nothing is done by it', async () => {
  await bring(file('a'))
  let isDown = false
  const query = (...args: Parameters<typeof database.pool.query>) =>
    isDown ? Promise.reject(new Error('down')) : database.pool.query(...args)
  await using policies = await follow({ pool: { query } as never, listener: deafListener })
  await using gateway = await openGateway(database, { source: policies })
  const effect = async () => ({ value: 1 })
  const act = () => gateway.pipeline.run(toolCall(principal, 'write'), effect)
  const principal = await createPerson(database.pool)
  expect(await act()).toMatchObject({ kind: 'done' })
  isDown = true
  await until(() => policies.state() === 'stale', policyFeedTimeoutMs + 500)
  expect(await act()).toMatchObject({ kind: 'refused', code: 'policy-stale', decision: { epoch: 1 } })
  // Reads of low risk go on for a minute, by what was known.
  const reading = (risk: number) => toolCall(principal, 'read', { session: { id: 's', risk } })
  expect(await gateway.pipeline.run(reading(59), effect)).toMatchObject({ kind: 'done', decision: { epoch: 1 } })
  expect(await gateway.pipeline.run(reading(60), effect)).toMatchObject({ kind: 'refused', code: 'policy-stale' })
  const now = performance.now
  performance.now = () => now.call(performance) + policyPermitMs
  const late = await gateway.pipeline.run(reading(0), effect).finally(() => (performance.now = now))
  expect(late).toMatchObject({ kind: 'refused', code: 'policy-stale' })
  isDown = false
  await policies.refresh()
  expect(await act()).toMatchObject({ kind: 'done' })
})

test('a set that one replica cannot compile leaves its old one, and the next good one replaces it', async () => {
  const picky: CompilePolicy = (name, text) =>
    text.includes('unknown-here') ? { faults: [`${name}:1: unknown here`] } : compilePolicyText(name, text)
  await bring(file('a'))
  await using old = await follow({ compile: picky })
  await bring(file('a'), file('b', { reason: 'unknown-here' }))
  await old.refresh()
  expect([old.state(), old.current().epoch]).toEqual(['set-refused', 1])
  await bring(file('a'), file('c'))
  await old.refresh()
  expect([old.state(), old.current().epoch]).toEqual(['ok', 3])
})
