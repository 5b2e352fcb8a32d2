// Long files of the command line: pieces in, pieces out, nothing half-written under a name.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openFile, readBytes } from '../../workers/cli-files.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-files-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('a file has its name when it is whole, and is its owner’s alone', async () => {
  const path = join(folder, 'deep', 'file')
  const file = await openFile(path)
  await file.write('one\n')
  await file.write('two\n')
  expect(readdirSync(join(folder, 'deep'))).not.toContain('file')
  await file.close()
  expect([readFileSync(path, 'utf8'), statSync(path).mode & 0o777]).toEqual(['one\ntwo\n', 0o600])
})

test('an abandoned file leaves nothing, and the earlier one as it was', async () => {
  const path = join(folder, 'file')
  writeFileSync(path, 'before')
  const file = await openFile(path)
  await file.write('half')
  await file.abandon()
  expect([readdirSync(folder), readFileSync(path, 'utf8')]).toEqual([['file'], 'before'])
})

test('a file is read in pieces, and one that is not there is undefined', async () => {
  const path = join(folder, 'file')
  writeFileSync(path, Buffer.alloc(300_000, 'x'))
  const sizes: number[] = []
  for await (const piece of (await readBytes(path)) ?? []) sizes.push(piece.length)
  expect(sizes.length).toBeGreaterThan(1)
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(300_000)
  expect(await readBytes(join(folder, 'nothing'))).toBeUndefined()
  const first = async () => {
    for await (const piece of (await readBytes(folder)) ?? []) return piece.length
    return 0
  }
  await expect(first()).rejects.toThrow(/is a folder\.$/)
})
