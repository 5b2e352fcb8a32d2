// The bootstrap on a bare clone: packages are installed once, whoever starts beside it, and whatever was cut off. npm is
// played by a script that takes a while.
import { spawn } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { root } from '../support/house-rules.ts'
import { scrubbedEnvironment, until } from '../support/installation.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-bootstrap-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let clone: string
let count = 0

beforeEach(() => {
  count += 1
  clone = join(folder, `clone-${count}`)
  mkdirSync(join(clone, 'scripts'), { recursive: true })
  mkdirSync(join(clone, 'bin'))
  cpSync(join(root, 'scripts/bootstrap.mjs'), join(clone, 'scripts/bootstrap.mjs'))
  writeFileSync(join(clone, 'package-lock.json'), '{}')
  playNpm(0)
})

function playNpm(code: number): void {
  const lines = [
    'echo begin >> journal',
    'rm -rf node_modules; mkdir node_modules',
    'sleep 0.5',
    'echo end >> journal',
    `exit ${code}`,
  ]
  writeFileSync(join(clone, 'bin/npm'), `#!/bin/sh\n${lines.join('\n')}\n`)
  chmodSync(join(clone, 'bin/npm'), 0o755)
}

function start() {
  const child = spawn(process.execPath, ['scripts/bootstrap.mjs'], {
    cwd: clone,
    env: scrubbedEnvironment({ PATH: `${join(clone, 'bin')}:/usr/bin:/bin` }),
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  return { child, ended, said: () => err }
}

const journal = () => {
  const file = join(clone, 'journal')
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
}

test('three starts at once install once, one after another, and say for whom they wait', async () => {
  const starts = [start(), start(), start()]
  expect(await Promise.all(starts.map(({ ended }) => ended))).toEqual([0, 0, 0])
  expect(journal()).toEqual(['begin', 'end'])
  expect(starts.filter(({ said }) => /Process \d+ installs the packages; waiting for it\./.test(said()))).toHaveLength(
    2,
  )
  expect(await start().ended).toBe(0)
  expect(journal()).toEqual(['begin', 'end'])
})

test('a start that was killed while it installed leaves nothing that keeps the next one waiting', async () => {
  const killed = start()
  await until(() => journal().length === 1, 5_000)
  process.kill(-(killed.child.pid ?? 0), 'SIGKILL')
  await killed.ended
  expect(await start().ended).toBe(0)
  expect(journal()).toEqual(['begin', 'begin', 'end'])
})

test('an install that fails is told, and tried again at the next start', async () => {
  playNpm(7)
  const failed = start()
  expect([await failed.ended, failed.said()]).toEqual([7, expect.stringContaining('npm ci failed')])
  playNpm(0)
  expect(await start().ended).toBe(0)
})
