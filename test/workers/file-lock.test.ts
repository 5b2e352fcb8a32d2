// A lock file belongs to one living process; what a dead one left is taken over by exactly one.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { markOf, ownerOf, tryLock } from '../../workers/local/file-lock.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-lock-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await new Promise((resolve) => child.once('exit', resolve))
  return child.pid ?? 0
}

test('a lock of a living process is refused and names it', async () => {
  const file = join(folder, 'held')
  const taken = await tryLock(file)
  expect(await tryLock(file)).toEqual({ kind: 'theirs', owner: markOf(process.pid) })
  expect(await ownerOf(file)).toEqual(markOf(process.pid))
  if (taken.kind === 'ours') await taken.release()
  expect(existsSync(file)).toBe(false)
  expect(await ownerOf(file)).toBeUndefined()
})

test('a number that the system gave to another process since is not the owner', async () => {
  const file = join(folder, 'reused')
  writeFileSync(file, JSON.stringify({ pid: process.pid, mark: '1' }))
  expect(await ownerOf(file)).toBeUndefined()
  expect((await tryLock(file)).kind).toBe('ours')
})

test.each(['', '{"pid":', 'nonsense'])('a lock that holds %j is taken over', async (text) => {
  const file = join(folder, 'broken')
  writeFileSync(file, text)
  const taken = await tryLock(file)
  expect(taken.kind).toBe('ours')
  if (taken.kind === 'ours') await taken.release()
})

test('of many that find the lock of a dead process one takes it over, and nothing is left beside it', async () => {
  const file = join(folder, 'stale')
  writeFileSync(file, JSON.stringify({ pid: await deadProcess(), mark: null }))
  const taken = await Promise.all(Array.from({ length: 20 }, () => tryLock(file)))
  expect(taken.filter((each) => each.kind === 'ours')).toHaveLength(1)
  expect(readdirSync(folder).filter((name) => name.startsWith('stale'))).toEqual(['stale'])
})
