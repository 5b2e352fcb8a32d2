// The house keeps its plan: ten rules of who may import whom, and a table that proves the rules bite.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { plan, printPlan } from './support/house-plan.ts'
import { cycleIn, read, root, roomOf, runtimeEdges, sourceFiles, trespasses } from './support/house-rules.ts'

const files = sourceFiles()
const folders = [...new Set(files.filter((path) => path.includes('/')).map((path) => path.split('/')[0] ?? ''))]

// Written apart, so that the rules do not take it for an import of this file.
const from = (specifier: string) => `from '${specifier}'`

test('every folder with code is a room of the plan', () => {
  expect(folders.filter((folder) => plan[folder] === undefined)).toEqual([])
})

test('no file trespasses', () => {
  expect(files.filter((path) => path.includes('/')).flatMap((path) => trespasses(path, read(path)))).toEqual([])
})

test('the plan has no two-way door', () => {
  expect(cycleIn(runtimeEdges())).toBeNull()
  expect(cycleIn({ a: ['b'], b: ['c'], c: ['a'] })).toEqual(['a', 'b', 'c', 'a'])
})

test.each(folders)('%s has a README of 5 to 20 lines', (folder) => {
  const lines = read(join(folder, 'README.md')).trimEnd().split('\n').length
  expect(lines).toBeGreaterThanOrEqual(5)
  expect(lines).toBeLessThanOrEqual(20)
})

test('ARCHITECTURE.md quotes the plan', () => {
  expect(existsSync(join(root, 'ARCHITECTURE.md'))).toBe(true)
  const [, quoted] = /<!-- plan -->\n([\s\S]*?)\n<!-- \/plan -->/.exec(read('ARCHITECTURE.md')) ?? []
  expect(quoted).toBe(printPlan())
})

test.each([
  [
    'a run-time import of an activity over several lines',
    'workflows/x.ts',
    "import {\n  charge,\n} from '../activities/charge.ts'",
  ],
  ['a built-in in a workflow', 'workflows/x.ts', "import { readFile } from 'node:fs/promises'"],
  ['a re-export of an upper room', 'domain/x.ts', "export * from '../gateway/pipeline.ts'"],
  ['a bare package import in the quiet floor', 'domain/x.ts', "import 'pino'"],
  ['a dynamic import in the quiet floor', 'domain/x.ts', "const later = await import('./money.ts')"],
  ['require', 'db/x.ts', "const pg = require('pg')"],
  ['an inline type where only types are open', 'gateway/x.ts', "import { type Logger } from '../telemetry/log.ts'"],
  ['a specifier without its ending', 'domain/x.ts', `import { micros } ${from('./money')}`],
  ['a specifier that leaves the repository', 'workers/x.ts', `import { x } ${from('../../elsewhere/x.ts')}`],
  ['a shed', 'workers/x.ts', "import { x } from '../test/support/person.ts'"],
  ['a room that is not in the plan', 'helpers/x.ts', "import { micros } from '../domain/money.ts'"],
  ['the engine room from a door', 'api/x.ts', "import { services } from '../workers/services.ts'"],
  ['a package another room owns', 'api/x.ts', "import pg from 'pg'"],
  [
    'a run-time import below an exported type',
    'workflows/x.ts',
    "export type A = number\nimport { charge } from '../activities/charge.ts'",
  ],
  [
    'a comment with a quote in the clause',
    'workflows/x.ts',
    "import {\n  charge, // it's money\n} from '../activities/charge.ts'",
  ],
  ['a comment before the specifier', 'api/x.ts', "import pg from /* the driver */ 'pg'"],
  [
    'a comment that calls a run-time import a type',
    'workflows/x.ts',
    "import /* type */ { a } from '../activities/a.ts'",
  ],
  ['a second statement on a line', 'api/x.ts', "export const a = 1; import pg from 'pg'"],
  ['an import that is not at the start of its line', 'api/x.ts', "/* x */ import pg from 'pg'"],
  ['an import without blanks', 'api/x.ts', "import{Pool}from'pg'"],
  ['a specifier with an escape', 'workflows/x.ts', String.raw`import { a } from './\u002e./activities/a.ts'`],
  ['a specifier with an encoded folder', 'sdk/x.ts', "import { a } from '../crypto/portable/%2e%2e/seal.ts'"],
  ['a dynamic import inside a template', 'api/x.ts', "const a = `${(await import('pg')).default}`"],
  ['a dynamic import between quoted backticks', 'api/x.ts', "const a = '`'\nawait import('pg')\nconst b = '`'"],
  ['a dynamic import between quoted comment marks', 'api/x.ts', "const a = '/*'\nawait import('pg')\nconst b = '*/'"],
  ['a dynamic import with a comment before its bracket', 'api/x.ts', "await import /* late */ ('pg')"],
  ['a built-in by its loader', 'api/x.ts', "const fs = process.getBuiltinModule('node:fs')"],
  ['a dynamic import in an example', 'examples/x.ts', "const pg = await import('pg')"],
])('catches %s', (_what, path, source) => {
  expect(trespasses(path, source)).toHaveLength(1)
})

test.each([
  ['a type-only import where types are open', 'gateway/x.ts', "import type { Logger } from '../telemetry/log.ts'"],
  ['an import within the room', 'db/x.ts', "import { createPool } from './pool.ts'"],
  ['an entry loaded by an engine', 'workers/x.ts', "await import('./api.ts')"],
  ['the contract from a door', 'api/x.ts', "import { queues } from '../workflows/contract.ts'"],
  ['types over several lines', 'workflows/x.ts', "import type {\n  A,\n  B,\n} from '../activities/a.ts'"],
  ['types of a whole file', 'workflows/x.ts', "import type * as steps from '../activities/a.ts'"],
])('lets %s pass', (_what, path, source) => {
  expect(trespasses(path, source)).toEqual([])
})

test('pseudo-rooms are found by longest prefix', () => {
  expect(roomOf('workflows/contract.ts')).toBe('contract')
  expect(roomOf('workflows/agent-turn.ts')).toBe('workflows')
  expect(roomOf('crypto/portable/canonical-json.ts')).toBe('portable')
})
