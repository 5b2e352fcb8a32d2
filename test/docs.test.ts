// The papers are true where a machine can tell.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from './support/house-rules.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')

test('every test that docs/features.md names exists', () => {
  const named = [...read('docs/features.md').matchAll(/`(test\/[^`]+)`/g)].map(([, path = '']) => path)
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([])
})

test('every npm script that the README names exists', () => {
  const scripts = Object.keys((JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts)
  const named = [...read('README.md').matchAll(/npm run ([a-z:]+)/g)].map(([, name = '']) => name)
  expect(named.filter((name) => !scripts.includes(name))).toEqual([])
})

test('every script of package.json runs a file that exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const entries = Object.values(scripts).flatMap((script) => /bootstrap\.mjs (\S+)/.exec(script)?.[1] ?? [])
  expect(entries.filter((entry) => !existsSync(join(root, entry)))).toEqual([])
})

test('decisions have at most 60 lines and say context, decision and consequences', () => {
  for (const name of readdirSync(join(root, 'docs', 'decisions'))) {
    const text = read(join('docs', 'decisions', name))
    expect(text.split('\n').length).toBeLessThanOrEqual(60)
    for (const part of ['Context', 'Decision', 'Consequences']) expect(text).toContain(`**${part}.**`)
  }
})
