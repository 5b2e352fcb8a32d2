// A kept bundle is taken for its own sources only.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cachedBundle } from '../../workers/bundle-cache.ts'

let root: string
let made: number
beforeEach(async () => {
  made = 0
  root = await mkdtemp(join(tmpdir(), 'gatehouse-bundle-'))
  for (const folder of ['domain/deep', 'workflows', 'workers', 'api', 'node_modules'])
    await mkdir(join(root, folder), { recursive: true })
  await put('domain/limits.ts', 'one')
  await put('domain/deep/more.ts', 'one')
  await put('workflows/index.ts', 'one')
  await put('workers/temporal.ts', 'one')
  await put('package-lock.json', '{}')
})
afterEach(() => rm(root, { recursive: true, force: true }))

const put = (name: string, text: string) => writeFile(join(root, name), text)
const kept = () => join(root, 'node_modules/.cache/gatehouse/workflow-bundle.json')
const bundle = async () => {
  const { code } = await cachedBundle({ root, make: async () => ({ code: `bundle ${(made += 1)}` }) })
  return code
}

test('the same sources are bundled once', async () => {
  expect([await bundle(), await bundle(), made]).toEqual(['bundle 1', 'bundle 1', 1])
})

test.each([
  'domain/limits.ts',
  'domain/deep/more.ts',
  'workflows/index.ts',
  'workers/temporal.ts',
  'package-lock.json',
])('a change of %s makes a new one', async (name) => {
  await bundle()
  await put(name, 'two')
  expect(await bundle()).toBe('bundle 2')
})

test('a new file makes a new one, also when it takes over another one’s text', async () => {
  await bundle()
  await put('workflows/more.ts', '')
  expect(await bundle()).toBe('bundle 2')
  await put('workflows/index.ts', '')
  await put('workflows/more.ts', 'one')
  expect(await bundle()).toBe('bundle 3')
})

test('what cannot be a bundle of them does not concern it', async () => {
  await bundle()
  await put('api/app.ts', 'two')
  expect(await bundle()).toBe('bundle 1')
})

test.each([
  ['torn', (text: string) => text.slice(0, -4)],
  ['altered', (text: string) => text.replace('bundle 1', 'bundle X')],
  ['empty', () => ''],
  ['null', () => 'null'],
])('a kept one that is %s is made anew', async (_, spoil) => {
  await bundle()
  await writeFile(kept(), spoil(await readFile(kept(), 'utf8')))
  expect([await bundle(), await bundle()]).toEqual(['bundle 2', 'bundle 2'])
})

test('where nothing can be kept it is made each time', async () => {
  await writeFile(join(root, 'node_modules/.cache'), 'in the way')
  expect([await bundle(), await bundle()]).toEqual(['bundle 1', 'bundle 2'])
})
