// Policies that flip under load, in short form; `npm run prove -- policy` is the long one.
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { reloadUnderLoad } from '../support/policy-reload.ts'

test('each of 1,000 decisions a second carries the epoch that made it, and no bad file changes one', async () => {
  await using database = await createTestDatabase()
  const seen = await reloadUnderLoad({ url: database.url, seconds: 2, perSecond: 1_000, flipMs: 60 })
  process.stdout.write(`${JSON.stringify(seen)}\n`)
  expect(seen.broken).toEqual([])
  expect(seen.epochs).toBeGreaterThan(10)
  expect([seen.badFiles, seen.unusableSets].every((count) => count > 0)).toBe(true)
}, 30_000)
