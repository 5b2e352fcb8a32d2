// A spool that is full, cannot be written, or has many files: effects are refused while evidence cannot be kept, and no
// longer than that.
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { decide } from '../../domain/policy/combine.ts'
import type { Principal } from '../../domain/principal.ts'
import { auditIntent, auditOutcome } from '../../gateway/audit-record.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newSpoolFolder } from '../support/evidence.ts'
import { allowAll, createPerson, openGateway, policyOf, recordsOf, toolCall, type Gateway } from './fixture.ts'

let database: TestDatabase
let person: Principal
const folders: string[] = []

beforeAll(async () => {
  database = await createTestDatabase()
})
beforeEach(async () => {
  person = await createPerson(database.pool)
})
afterAll(async () => {
  await database?.[Symbol.asyncDispose]()
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

async function newFolder(): Promise<string> {
  const folder = await newSpoolFolder()
  folders.push(folder)
  return folder
}

const effect = async () => ({ value: 'fine', output: 'fine' })
const read = (gateway: Gateway, over: Parameters<typeof toolCall>[2] = {}) =>
  gateway.pipeline.run(toolCall(person, 'read', over), effect)
const records = () => recordsOf(database.pool, person.tenant)

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const startedAt = performance.now()
  while (!(await holds())) {
    if (performance.now() - startedAt > 5_000) throw new Error('It did not come to pass.')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('a full spool refuses effects of every kind, says so on record, and is open again once it is sealed', async () => {
  const folder = await newFolder()
  await using gateway = await openGateway(database, { spool: { folder, bytesMax: 4_000, fileBytesMax: 2_000 } })
  const never = () => Promise.reject(new Error('No effect may run.'))
  const inner = await gateway.pipeline.run(toolCall(person, 'read'), async () => {
    for (let n = 0; n < 2; n += 1) await gateway.pipeline.run(toolCall(person, 'read'), effect).catch(() => undefined)
    const [lean, governed] = [toolCall(person, 'read'), toolCall(person, 'write')]
    return { value: [await gateway.pipeline.run(lean, never), await gateway.pipeline.run(governed, never)] }
  })
  const refused = { kind: 'refused', code: 'evidence-unavailable' }
  expect(inner).toMatchObject({ kind: 'done', value: [refused, refused] })
  await gateway.sealer.drain()
  expect((await records()).filter(({ error_code }) => error_code === 'evidence-unavailable')).toHaveLength(2)
  await gateway.sealer.drain()
  expect(await read(gateway)).toMatchObject({ kind: 'done' })
})

test('a read whose outcome cannot be relied on is not answered, and is on record once', async () => {
  const folder = join(await newFolder(), 'spool')
  await using gateway = await openGateway(database, { spool: { folder } })
  const answer = gateway.pipeline.run(toolCall(person, 'read'), async () => {
    await rename(folder, `${folder}-away`)
    await writeFile(folder, 'no folder')
    return effect()
  })
  await expect(answer).rejects.toMatchObject({ code: 'evidence-unavailable' })
  await rm(folder)
  await rename(`${folder}-away`, folder)
  await using _other = await openGateway(database, { spool: { folder } })
  await until(async () => (await records()).length > 0)
  await gateway.sealer.drain().catch(() => undefined)
  expect(await records()).toMatchObject([{ status: 'ok', follows: null }]) // it had reached the file that was gone
})

test('a folder that cannot be written refuses effects until it can', async () => {
  const folder = join(await newFolder(), 'spool')
  await writeFile(folder, 'no folder')
  await using gateway = await openGateway(database, { spool: { folder } })
  const refused = { kind: 'refused', code: 'evidence-unavailable' }
  expect(await read(gateway)).toMatchObject(refused)
  expect(await gateway.pipeline.run(toolCall(person, 'write'), effect)).toMatchObject(refused)
  await gateway.sealer.drain()
  expect((await records()).map(({ status, error_code }) => [status, error_code])).toEqual([
    ['refused', 'evidence-unavailable'],
    ['refused', 'evidence-unavailable'],
  ])
  await rm(folder)
  await mkdir(folder)
  await until(async () => (await read(gateway)).kind === 'done')
  await gateway.sealer.drain()
  expect((await records()).at(-1)).toMatchObject({ status: 'ok' })
})

test('files are freed as they are sealed, however many there are', async () => {
  const folder = await newFolder()
  await using gateway = await openGateway(database, { spool: { folder, fileBytesMax: 5_000 } })
  await Promise.all(Array.from({ length: 40 }, (_, n) => read(gateway, { effectKey: `call-${n}` })))
  for (let n = 0; n < 20; n += 1) await read(gateway, { effectKey: `more-${n}` })
  await Promise.all([gateway.sealer.drain(), gateway.sealer.drain(), gateway.sealer.drain()])
  expect(await readdir(folder)).toHaveLength(1)
  const sealed = await records()
  expect(new Set(sealed.map(({ idempotency_key }) => idempotency_key)).size).toBe(60)
  expect(sealed.map(({ status }) => status)).toEqual(sealed.map(() => 'ok'))
  expect(gateway.faults).toEqual([])
})

test('spools that cannot be sealed hide no other, and are not tried each second', async () => {
  const folder = await newFolder()
  for (let n = 0; n < 101; n += 1) await mkdir(join(folder, `zz${n}.spool`))
  const id = randomUUID()
  const call = toolCall(person, 'read')
  const intent = auditIntent({ call, decision: decide(policyOf(allowAll), call), at: new Date(), span: null })
  await writeFile(
    join(folder, 'aaaa-dead.spool'),
    `${JSON.stringify({ id, intent, outcome: auditOutcome({ status: 'ok' }, 0) })}\n`,
  )
  await using gateway = await openGateway(database, { spool: { folder } })
  await until(async () => (await readdir(folder)).every((name) => !name.startsWith('aaaa')))
  expect((await recordsOf(database.pool, person.tenant)).map((record) => record.id)).toContain(id)
  const tries = gateway.faults.length
  expect(tries).toBeGreaterThanOrEqual(101)
  expect(tries).toBeLessThan(101 * 4)
})
