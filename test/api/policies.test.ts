// Policies over HTTP: who may, what is refused, and that a change decides on every replica and is on record.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decide } from '../../domain/policy/combine.ts'
import { createListener } from '../../db/pool.ts'
import { createPolicies } from '../../gateway/policies.ts'
import { compilePolicyText } from '../../workers/files.ts'
import { personWith, quiet, toolCall } from '../gateway/fixture.ts'
import { createEvidenceRig, type EvidenceRig, type Witness } from '../support/evidence-rig.ts'
import { policyText, until } from '../support/policy-texts.ts'

let rig: EvidenceRig
let operator: Witness

beforeAll(async () => {
  rig = await createEvidenceRig()
  operator = await rig.join({ tenant: 'house', roles: ['owner', 'operator'] })
})
afterAll(() => rig[Symbol.asyncDispose]())

const at = '/api/v1/policies'
const answer = async (reply: Response): Promise<Record<string, unknown>> => ({
  status: reply.status,
  ...((await reply.json()) as object),
})
const ask = async (method: string, path: string, body?: unknown) => answer(await operator.call(method, at + path, body))

test('nobody but an operator sees or changes policies', async () => {
  const admin = await rig.join({ tenant: 'acme', roles: ['owner', 'admin', 'approver'] })
  for (const [method, path, body] of [
    ['GET', ''],
    ['GET', '/default'],
    ['PUT', '/mine', { text: policyText('mine') }],
    ['DELETE', '/mine'],
    ['POST', '/mine/rollback', { version: 1 }],
    ['POST', '/validate', { text: policyText('mine') }],
    ['POST', '/explain', { action: 'tool.call', resource: 'tool:a/b' }],
  ] as const)
    expect((await admin.call(method, at + path, body)).status).toBe(403)
})

test.each<[string, string, string, unknown, number, string]>([
  ['a text with a fault', 'PUT', '/mine', { text: 'policy: mine' }, 400, 'policy-invalid'],
  ['a text of another id', 'PUT', '/mine', { text: policyText('other') }, 400, 'policy-invalid'],
  ['an empty text', 'PUT', '/mine', { text: '' }, 400, 'request-invalid'],
  ['a field that is none', 'PUT', '/mine', { text: policyText('mine'), force: true }, 400, 'request-invalid'],
  ['a name that is none', 'PUT', '/Mine!', { text: policyText('mine') }, 400, 'request-invalid'],
  ['the id of a file', 'PUT', '/default', { text: policyText('default') }, 409, 'policy-from-file'],
  ['retiring a file', 'DELETE', '/default', undefined, 409, 'policy-from-file'],
  ['rolling a file back', 'POST', '/default/rollback', { version: 1 }, 409, 'policy-from-file'],
  ['retiring what is not there', 'DELETE', '/nothing', undefined, 404, 'not-found'],
  ['a version that never was', 'POST', '/nothing/rollback', { version: 9 }, 404, 'not-found'],
  ['showing what is not there', 'GET', '/nothing', undefined, 404, 'not-found'],
  ['versions of what is not there', 'GET', '/nothing/versions', undefined, 404, 'not-found'],
  ['a question about nothing', 'POST', '/explain', { action: 'tool.call', resource: 'x' }, 400, 'request-invalid'],
])('%s is refused', async (...row) => {
  const [, method, path, body, status, code] = row
  const before = (await ask('GET', ''))['epoch']
  expect(await ask(method, path, body)).toMatchObject({ status, code })
  expect((await ask('GET', ''))['epoch']).toBe(before)
})

test('a policy is put, changed, rolled back and retired; each is an epoch on every replica', async () => {
  const { pool, url } = rig.api.database
  await using other = await createPolicies({
    pool,
    compile: compilePolicyText,
    listener: () => createListener(url),
    log: { ...quiet, info: () => undefined },
  })
  const start = Number((await ask('GET', ''))['epoch'])
  const decided = () => {
    const { principal, session, action, resource, facts } = toolCall(personWith({}), 'read', {
      resource: { kind: 'tool', name: 'far/write_all', effectClass: 'write', owner: null },
    })
    const { kind, version, epoch } = decide(other.current(), { principal, session, action, resource, facts })
    return [kind, version, epoch]
  }
  const live = (epoch: number) => until(() => other.current().epoch === epoch, 1_000)
  expect(await ask('PUT', '/mine', { text: policyText('mine') })).toMatchObject({ version: 1, epoch: start + 1 })
  await live(start + 1)
  expect(decided()).toEqual(['allow', 1, start + 1])
  expect(await ask('PUT', '/mine', { text: policyText('mine') })).toMatchObject({ version: 1, epoch: start + 1 })
  expect(await ask('PUT', '/mine', { text: policyText('mine', { effect: 'deny' }) })).toMatchObject({ version: 2 })
  await live(start + 2)
  expect(decided()).toEqual(['deny', 2, start + 2])
  expect(await ask('POST', '/mine/rollback', { version: 1 })).toMatchObject({ version: 1, epoch: start + 3 })
  await live(start + 3)
  expect(decided()).toEqual(['allow', 1, start + 3])
  expect(await ask('GET', '/mine')).toMatchObject({ version: 1, source: 'api', text: policyText('mine') })
  expect(await ask('GET', '/mine/versions/2')).toMatchObject({ version: 2 })
  expect(await ask('DELETE', '/mine')).toMatchObject({ version: null, epoch: start + 4 })
  await live(start + 4)
  expect(decided()[0]).toBe('deny')
  const page = await ask('GET', '/mine/versions?limit=1')
  expect(page).toMatchObject({ versions: [{ version: 2, active: false }], cursor: '2' })
  expect(await ask('GET', '/mine/versions?cursor=2')).toMatchObject({ versions: [{ version: 1 }], cursor: null })
  expect((page['versions'] as { retiredAt: string }[])[0]?.retiredAt).toMatch(/Z$/)
})

test('every change is an audit record of who made it, and what was refused is too', async () => {
  await ask('PUT', '/seen', { text: policyText('seen') })
  await ask('PUT', '/default', { text: policyText('default') })
  const changed = async (resource: string) => {
    await rig.gateway.sealer.drain()
    const { records } = await operator.json('GET', '/api/v1/audit?limit=50')
    return (records as Record<string, unknown>[]).find(
      (record) => record['action'] === 'policy.change' && record['resource'] === resource,
    )
  }
  const sub = operator.principal.wallet
  const rules = ['operators-change-policies']
  expect(await changed('seen')).toMatchObject({ sub, status: 'admitted', policy: { rules } })
  await expect
    .poll(() => changed('default'))
    .toMatchObject({ sub, status: 'refused', error_code: 'policy-from-file', policy: { rules } })
})

test('validate names every fault and keeps nothing', async () => {
  expect(await ask('POST', '/validate', { text: policyText('fine') })).toMatchObject({ valid: true, rules: 1 })
  const bad = await ask('POST', '/validate', { name: 'x.yaml', text: policyText('x', { effect: 'maybe' }) })
  expect(bad).toMatchObject({ valid: false, faults: [expect.stringMatching(/^x\.yaml:\d+: rule x-rule: effect/)] })
  expect((await operator.call('GET', `${at}/fine`)).status).toBe(404)
})

test('explain says which rules were considered, matched and won, with policy, version and epoch', async () => {
  const { epoch } = await ask('GET', '')
  const asked = { principal: { agents: ['assistant'] }, action: 'tool.call', resource: 'tool:notes/write_note' }
  const explained = await ask('POST', '/explain', asked)
  expect(explained).toMatchObject({
    decision: { kind: 'require', requirement: 'approval', policyId: 'default', version: 1, epoch },
  })
  const considered = explained['considered'] as { ruleId: string; outcome: string; condition: string | null }[]
  expect(considered[0]).toMatchObject({ ruleId: 'agent-writes-need-approval', outcome: 'won', condition: null })
  expect(considered.find(({ ruleId }) => ruleId === 'destructive-never')).toMatchObject({
    outcome: 'missed',
    condition: 'classes',
  })
})

test('a table of tests is run against texts or against what is active', async () => {
  const table = `cases:
  - { name: open, action: tool.call, resource: "tool:a/write_b", expect: allow, rules: [t-rule] }
  - { name: wrong, action: tool.call, resource: "tool:a/write_b", expect: deny }
`
  const policies = [{ name: 't.yaml', text: policyText('t') }]
  expect(await ask('POST', '/test', { table, policies })).toMatchObject({
    ...{ faults: [], passed: 1, failed: 1 },
    results: [
      { passed: true },
      { name: 'wrong', passed: false, expected: 'deny', actual: 'allow', ruleIds: ['t-rule'] },
    ],
  })
  expect(await ask('POST', '/test', { table: 'cases: [{ name: 1 }]', name: 'y.test.yaml' })).toMatchObject({
    ...{ passed: 0, failed: 0 },
    faults: expect.arrayContaining([expect.stringMatching(/^y\.test\.yaml:1: cases\.0\.name: /)]),
  })
  const twice = [...policies, ...policies]
  expect(await ask('POST', '/test', { table, policies: twice })).toMatchObject({
    faults: [expect.stringContaining('given twice')],
  })
})
