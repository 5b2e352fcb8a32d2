// The operator's command for signing keys: records of a retired key still verify, and another master key changes nothing.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createPerson, growChain, openGateway, recordsOf, verifyStored } from '../gateway/fixture.ts'
import { createTestDatabase } from '../support/database.ts'
import { scrubbedEnvironment } from '../support/installation.ts'

const run = (url: string, masterKey: Uint8Array, args: readonly string[]) =>
  promisify(execFile)(process.execPath, ['--import', 'tsx', 'workers/keys.ts', ...args], {
    env: scrubbedEnvironment({ DATABASE_URL: url, GATEHOUSE_MASTER_KEY: Buffer.from(masterKey).toString('hex') }),
  })

test('a new audit key signs what comes, the chain goes on and verifies whole', async () => {
  await using database = await createTestDatabase()
  const masterKey = randomBytes(32)
  const person = await createPerson(database.pool)
  {
    await using before = await openGateway(database, { masterKey })
    await growChain(before, person, 2)
  }
  const refused = run(database.url, randomBytes(32), ['rotate', 'audit'])
  await expect(refused).rejects.toMatchObject({ code: 1 })
  await expect(run(database.url, masterKey, ['rotate', 'everything'])).rejects.toMatchObject({ code: 2 })
  const { stdout } = await run(database.url, masterKey, ['rotate', 'audit'])
  await using after = await openGateway(database, { masterKey })
  const active = after.keys.active('audit').kid
  expect(stdout).toContain(`audit: ${active} signs instead of`)
  await growChain(after, person, 2)
  const kids = (await recordsOf(database.pool, person.tenant)).map(({ kid }) => kid)
  expect([new Set(kids.slice(0, 2)).size, new Set(kids.slice(2))]).toEqual([1, new Set([active])])
  expect(kids[0]).not.toBe(active)
  expect(await recordsOf(database.pool, 'installation')).toMatchObject([
    { action: 'key.rotate', resource: `audit ${active}`, status: 'ok', policy: { rules: ['operator-rotates'] } },
  ])
  expect(await verifyStored(after, database.pool, person.tenant)).toEqual({ ok: true, count: 4 })
  const listed = await run(database.url, masterKey, ['list'])
  expect(listed.stdout.split('\n').filter((line) => line.startsWith('audit '))).toEqual([
    `audit ${kids[0]} retired`,
    `audit ${active} active`,
  ])
}, 20_000)
