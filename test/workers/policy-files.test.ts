// Policy files as they lie in folders: which of them are policies, and that a change of one is followed.
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readActivePolicies } from '../../db/policy.ts'
import { compilePolicyText, policyFolders } from '../../workers/files.ts'
import { followPolicyFiles, readAll } from '../../workers/policy-files.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { policyText } from '../support/policy-texts.ts'

let database: TestDatabase
let path: string
beforeEach(async () => {
  database = await createTestDatabase()
  path = await mkdtemp(join(tmpdir(), 'gatehouse-policy-'))
})
afterEach(async () => {
  await database[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const log = { info: () => undefined, error: () => undefined }
const follow = () =>
  followPolicyFiles({ pool: database.pool, compile: compilePolicyText, folders: [{ path, label: 'policy' }], log })
const active = async () =>
  (await readActivePolicies(database.pool)).policies.map(({ policyId, version }) => `${policyId}@${version}`)

async function eventually(wanted: readonly string[]): Promise<void> {
  const startedAt = performance.now()
  while ((await active()).join() !== wanted.join()) {
    if (performance.now() - startedAt > 2_000) throw new Error(`Active are ${(await active()).join()}.`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('a start with a file that cannot be used is refused, unless an older version stands in', async () => {
  await writeFile(join(path, 'a.yaml'), 'policy: a\n')
  await expect(follow()).rejects.toThrow('policy/a.yaml')
  await writeFile(join(path, 'a.yaml'), policyText('a'))
  await (await follow())[Symbol.asyncDispose]()
  await writeFile(join(path, 'a.yaml'), 'policy: a\n')
  await using files = await follow()
  expect(files.faults().join()).toContain('policy/a.yaml')
  expect(await active()).toEqual(['a@1'])
})

test('data of other kinds, tests and hidden files are no policies', async () => {
  for (const name of ['members.yaml', 'prices.yaml', 'tools.yaml', 'a.test.yaml', '.a.yaml', 'README.md'])
    await writeFile(join(path, name), 'nonsense: [')
  await mkdir(join(path, 'more'))
  await using files = await follow()
  expect(files.faults()).toEqual([])
  expect(await active()).toEqual([])
})

test('what changes, comes and goes is followed, and a bad file is said', async () => {
  await writeFile(join(path, 'a.yaml'), policyText('a'))
  await using files = await follow()
  await writeFile(join(path, 'b.yml'), policyText('b'))
  await eventually(['a@1', 'b@1'])
  await writeFile(join(path, 'a.yaml'), policyText('a', { effect: 'deny' }))
  await eventually(['a@2', 'b@1'])
  await writeFile(join(path, 'a.yaml'), 'policy: a\nversion: nine\n')
  await rename(join(path, 'b.yml'), join(path, 'c.yaml'))
  await eventually(['a@2', 'b@2'])
  expect(files.faults().join()).toContain('policy/a.yaml')
  await rm(join(path, 'c.yaml'))
  await eventually(['a@2'])
})

test('the clone has policies, and only in development the state folder may have more', async () => {
  const folders = (environment: 'development' | 'production') =>
    policyFolders({ environment, stateDir: path }).map(({ label }) => label)
  expect([folders('production'), folders('development')]).toEqual([['policy'], ['policy', 'own']])
  const files = await readAll(policyFolders({ environment: 'production', stateDir: path }))
  expect(files.map(({ name }) => name)).toContain('policy/default.yaml')
  for (const { name, text } of files) expect(compilePolicyText(name, text)).not.toHaveProperty('faults')
})
