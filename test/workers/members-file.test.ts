// The members file is followed: a change is live within a second, a bad one changes nothing.
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLogger } from '../../telemetry/log.ts'
import { followMembers } from '../../workers/members-file.ts'

let folder: string
const lines: string[] = []
const log = createLogger({ level: 'error', name: 'test', destination: { write: (line) => lines.push(line) } })
const wallet = `0x${'ab'.repeat(20)}`
const entry = (role: string) => `members:\n  - { wallet: "${wallet}", tenant: acme, roles: [${role}] }\n`
const withinASecond = { timeout: 1_000, interval: 20 }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-members-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('a bad file keeps the process from starting', async () => {
  const file = join(folder, 'bad.yaml')
  await writeFile(file, 'members: 5')
  await expect(followMembers({ files: [file], log })).rejects.toThrow('bad.yaml')
})

test('a file that cannot be read keeps the process from starting; one that is not there is empty', async () => {
  const file = join(folder, 'folder.yaml')
  await mkdir(file)
  await expect(followMembers({ files: [file], log })).rejects.toThrow('EISDIR')
  await using members = await followMembers({ files: [join(folder, 'absent.yaml')], log })
  expect(members.of(wallet)).toEqual({ tenant: wallet, roles: ['owner'] })
})

test('a change is live within a second, a bad one keeps the old and is logged once', async () => {
  const file = join(folder, 'members.yaml')
  await writeFile(file, entry('approver'))
  await using members = await followMembers({ files: [file], log })
  const roles = () => members.of(wallet).roles
  expect(roles()).toEqual(['approver'])
  await writeFile(`${file}.new`, entry('admin'))
  await rename(`${file}.new`, file)
  await expect.poll(roles, withinASecond).toEqual(['admin'])
  lines.length = 0
  await writeFile(file, 'members: [')
  await expect.poll(() => lines.length, withinASecond).toBe(1)
  await new Promise((resolve) => setTimeout(resolve, 900))
  expect([roles(), lines.length]).toEqual([['admin'], 1])
  await writeFile(file, entry('operator'))
  await expect.poll(roles, withinASecond).toEqual(['operator'])
})
