// A lock belongs to one living process; what a dead one left is taken over by exactly one.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ownerOf, tryLock } from '../../workers/local/file-lock.ts'
import { markOf } from '../../workers/local/processes.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-lock-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function leave(name: string, text: string, number = 1): string {
  const lock = join(folder, name)
  mkdirSync(lock, { recursive: true })
  writeFileSync(join(lock, String(number)), text)
  return lock
}

async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await new Promise((resolve) => child.once('exit', resolve))
  return child.pid ?? 0
}

test('a lock of a living process is refused and names it; released it is free', async () => {
  const lock = join(folder, 'held')
  expect(await ownerOf(lock)).toBeUndefined()
  const taken = await tryLock(lock)
  expect(await tryLock(lock)).toEqual({ kind: 'theirs', owner: markOf(process.pid) })
  expect(await ownerOf(lock)).toEqual(markOf(process.pid))
  if (taken.kind === 'ours') await taken.release()
  expect(await ownerOf(lock)).toBeUndefined()
  expect(readdirSync(lock)).toEqual(['1'])
  expect((await tryLock(lock)).kind).toBe('ours')
})

test('a number that the system gave to another process since is not the owner', async () => {
  const lock = leave('reused', JSON.stringify({ pid: process.pid, mark: '1' }))
  expect(await ownerOf(lock)).toBeUndefined()
  expect((await tryLock(lock)).kind).toBe('ours')
})

test.each(['', '{"pid":', 'nonsense'])('a lock that holds %j is taken over', async (text) => {
  const taken = await tryLock(leave('broken', text))
  expect(taken.kind).toBe('ours')
  if (taken.kind === 'ours') await taken.release()
})

test('of many that find the lock of a dead process one takes it over, and nothing is left beside it', async () => {
  for (let round = 0; round < 20; round += 1) {
    const lock = leave(`stale-${round}`, JSON.stringify({ pid: await deadProcess(), mark: null }), 7)
    const taken = await Promise.all(Array.from({ length: 20 }, () => tryLock(lock)))
    expect(taken.filter((each) => each.kind === 'ours')).toHaveLength(1)
    expect(readdirSync(lock)).toEqual(['8'])
  }
})

test('processes that fight for a lock never have it together', async () => {
  const lock = join(folder, 'fought')
  const inside = join(folder, 'inside')
  const text = `
    import { tryLock } from ${JSON.stringify(new URL('../../workers/local/file-lock.ts', import.meta.url).href)}
    import { mkdirSync, rmdirSync } from 'node:fs'
    let had = 0
    for (const until = Date.now() + 1500; Date.now() < until; ) {
      const taken = await tryLock(${JSON.stringify(lock)})
      if (taken.kind !== 'ours') continue
      mkdirSync(${JSON.stringify(inside)}) // throws when somebody else is inside
      had += 1
      rmdirSync(${JSON.stringify(inside)})
      await taken.release()
    }
    console.log(had)`
  const file = join(folder, 'fight.mts')
  writeFileSync(file, text)
  const play = () =>
    new Promise<number>((resolve) => {
      const child = spawn(process.execPath, ['--import', 'tsx', file], { stdio: ['ignore', 'pipe', 'inherit'] })
      let out = ''
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
      child.on('close', (code) => resolve(code === 0 ? Number(out) : -1))
    })
  const had = await Promise.all([play(), play(), play()])
  expect(Math.min(...had)).toBeGreaterThan(0)
  expect(existsSync(inside)).toBe(false)
}, 30_000)
