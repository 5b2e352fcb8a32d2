// The lint rules that keep the world out of rooms: broken on purpose, one room after another, each is seen.
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { plan, pseudoRooms, sheds } from './support/house-plan.ts'
import { root } from './support/house-rules.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-lint-'))
const free = ['workers', ...sheds, ...Object.values(pseudoRooms)] // those inside others are looked at there
const rooms = Object.keys(plan).filter((room) => !free.includes(room))
const snippets: Readonly<Record<string, string>> = {
  process: 'export const name = process.title\n',
  environment: 'export const home = process.env["HOME"]\n',
}
let seen: Set<string>

beforeAll(async () => {
  copyFileSync(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'))
  for (const room of [...rooms, 'workers', 'crypto/portable'])
    for (const [name, text] of Object.entries(snippets)) write(`${room}/${name}.ts`, text)
  const quiet = ['fetch("x")', 'setTimeout(() => undefined)', 'performance.now()', 'Buffer.from("")']
  for (const room of ['domain', 'workflows'])
    for (const [index, text] of quiet.entries()) write(`${room}/quiet-${index}.ts`, `export const it = ${text}\n`)
  const chance = ['Date.now()', 'Math.random()', 'crypto.randomUUID()']
  for (const [index, text] of chance.entries()) write(`domain/chance-${index}.ts`, `export const it = ${text}\n`)
  seen = new Set(await lint())
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}

function lint(): Promise<string[]> {
  return new Promise((resolve) => {
    const args = ['--format', 'unix', '.']
    execFile(join(root, 'node_modules/.bin/oxlint'), args, { cwd: folder }, (_error, out) =>
      resolve(out.split('\n').map((line) => line.split(':')[0]?.replace(/^\.\//, '') ?? '')),
    )
  })
}

test.each([...rooms, 'crypto/portable'])('%s/ does not touch the process', (room) => {
  for (const name of Object.keys(snippets)) expect([...seen]).toContain(`${room}/${name}.ts`)
})

test('workers/ may', () => {
  expect([...seen].filter((path) => path.startsWith('workers/'))).toEqual([])
})

test.each(['domain', 'workflows'])('%s/ has no clock, no timer, no network and no buffers', (room) => {
  for (const index of [0, 1, 2, 3]) expect([...seen]).toContain(`${room}/quiet-${index}.ts`)
})

test('domain/ takes time, chance and ids as arguments', () => {
  for (const index of [0, 1, 2]) expect([...seen]).toContain(`domain/chance-${index}.ts`)
})
