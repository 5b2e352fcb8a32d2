// Policies from the command line, over the real API: what is wrong with a text, why a decision is what it is, tables.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient, type Client } from '../../sdk/client.ts'
import { startTestApi, type TestApi } from '../support/api.ts'
import { signedInDesk, type Desk } from '../support/cli.ts'
import { policyText } from '../support/policy-texts.ts'

let api: TestApi
let desk: Desk
let client: Client
const file = (name: string) => readFileSync(new URL(`../../policy/${name}`, import.meta.url), 'utf8')

beforeAll(async () => {
  api = await startTestApi()
  const account = api.newWallet()
  api.roles.set(account.address.toLowerCase(), { tenant: 'house', roles: ['owner', 'operator'] })
  const token = await api.tokenOf(account)
  desk = signedInDesk(api.url, token)
  client = createClient({ baseUrl: api.url, token })
  desk.files.set('/here/default.yaml', file('default.yaml'))
  desk.files.set('/here/default.test.yaml', file('default.test.yaml'))
})
afterAll(() => api[Symbol.asyncDispose]())

test('validate says every fault and ends with another code', async () => {
  desk.files.set('/here/bad policy.yaml', policyText('x', { effect: 'maybe' }))
  const bad = await desk.run(['policy', 'validate', 'bad policy.yaml'])
  expect(bad).toMatchObject({ code: 4, out: expect.stringMatching(/^bad_policy\.yaml:\d+: rule x-rule: effect: /) })
  expect(await desk.run(['policy', 'validate', 'default.yaml'])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^default\.yaml is usable: policy default, version 1, \d+ rules\.\n$/),
  })
  expect((await desk.run(['policy', 'validate', 'nothing.yaml'])).code).toBe(2)
})

test('explain says what won and what did not hold', async () => {
  const asked = ['policy', 'explain', 'tool:workbench/write_note', '--agent', 'assistant', '--arguments', '{"a":1}']
  const { code, out } = await desk.run(asked)
  expect(code).toBe(0)
  expect(out).toMatch(/^require approval: A write by an agent .* \(policy default, version 1, epoch \d+\)\n/)
  expect(out).toMatch(/won +agent-writes-need-approval +default 1 +require +enforce/)
  expect(out).toMatch(/missed +destructive-never .* classes/)
  expect(JSON.parse((await desk.run([...asked, '--json'])).out)).toMatchObject({ decision: { kind: 'require' } })
  expect((await desk.run(['policy', 'explain', 'tool:a/b', '--arguments', '{'])).code).toBe(2)
})

test('the table beside the default policy passes, also against what is active', async () => {
  expect(await desk.run(['policy', 'test', 'default.test.yaml'])).toMatchObject({
    code: 0,
    out: '12 passed, 0 failed.\n',
  })
  expect((await desk.run(['policy', 'test', 'default.test.yaml', '--active'])).code).toBe(0)
})

test('a table that does not hold names the case, and one that cannot be read the line', async () => {
  desk.files.set('/here/open.yaml', policyText('open'))
  const failed = await desk.run(['policy', 'test', 'default.test.yaml', '--policy', 'open.yaml'])
  expect(failed.code).toBe(4)
  expect(failed.out).toContain('failed: a destructive tool is not shown: expected never, got allow by open-rule')
  desk.files.set('/here/open.test.yaml', 'cases: []\n')
  expect(await desk.run(['policy', 'test', 'open.test.yaml'])).toMatchObject({
    code: 4,
    out: expect.stringMatching(/^open\.test\.yaml:1: cases: /),
  })
  expect((await desk.run(['policy', 'test', 'open.yaml'])).code).toBe(2)
  expect((await desk.run(['policy', 'test', 'open.test.yaml', '--active', '--policy', 'open.yaml'])).code).toBe(2)
})

test('the client keeps policies: put, list, versions, roll back, retire', async () => {
  const { policies } = client
  const { epoch } = await policies.put('mine', policyText('mine'))
  expect(await policies.put('mine', policyText('mine', { effect: 'deny' }))).toMatchObject({ epoch: epoch + 1 })
  expect((await policies.list()).policies.map(({ policyId }) => policyId)).toEqual(['default', 'mine'])
  expect(await policies.rollback('mine', 1)).toMatchObject({ version: 1, epoch: epoch + 2 })
  expect(await policies.get('mine')).toMatchObject({ version: 1 })
  expect(await policies.get('mine', 2)).toMatchObject({ version: 2 })
  expect((await policies.versions('mine')).versions.map(({ active }) => active)).toEqual([false, true])
  expect(await policies.retire('mine')).toMatchObject({ version: null })
  await expect(policies.put('default', policyText('default'))).rejects.toMatchObject({ status: 409 })
  await expect(policies.put('mine', 'policy: [')).rejects.toMatchObject({ status: 400 })
})
