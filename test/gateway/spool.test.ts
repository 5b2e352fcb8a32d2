// The spool: what was written in it is in the chain, whatever happens to its process, its lock or its folder.
import { randomUUID } from 'node:crypto'
import { readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { decide, policySet } from '../../domain/policy/combine.ts'
import type { Principal } from '../../domain/principal.ts'
import { auditIntent, auditOutcome } from '../../gateway/audit-record.ts'
import { createAuditSpool } from '../../gateway/audit-spool.ts'
import { createSpoolFiles } from '../../gateway/spool-files.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newSpoolFolder, spooledIn } from '../support/evidence.ts'
import { allowAll, asIntruder, createPerson, openGateway, recordsOf, toolCall, type Gateway } from './fixture.ts'

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

const byText = (a: string, b: string) => a.localeCompare(b)
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

/** An intent as the pipeline writes it. */
function intentOf(effectKey: string) {
  const call = toolCall(person, 'read', { effectKey })
  const policy = policySet({ policyId: 'test', version: 1, epoch: 1, rules: [allowAll] })
  return auditIntent({ call, decision: decide(policy, call), at: new Date(), span: null })
}
const ok = auditOutcome({ status: 'ok' }, performance.now())
const line = (id: string, parts: object) => `${JSON.stringify({ id, ...parts })}\n`

test('what a dead process left is sealed to its last whole line; an intent without outcome as unknown', async () => {
  const folder = await newFolder()
  const ids = [randomUUID(), randomUUID(), randomUUID()] as const
  const text =
    line(ids[0], { intent: intentOf('done') }) +
    line(ids[1], { intent: intentOf('cut') }) +
    line(ids[0], { outcome: ok }) +
    line(ids[2], { intent: intentOf('torn') }).slice(0, -40)
  await writeFile(join(folder, 'aaaa-dead.spool'), text)
  await using gateway = await openGateway(database, { spool: { folder } })
  await until(async () => (await readdir(folder)).length === 0)
  const sealed = await records()
  expect(new Map(sealed.map(({ idempotency_key, status }) => [idempotency_key, status]))).toEqual(
    new Map([
      ['done', 'ok'],
      ['cut', 'unknown'],
    ]),
  )
  expect(sealed.map(({ id }) => id).toSorted()).toEqual([ids[0], ids[1]].toSorted())
  expect(gateway.faults).toEqual([])
})

test('a spool is sealed whole when its intents fill more than is read at a time', async () => {
  const folder = await newFolder()
  const ids = Array.from({ length: 400 }, () => randomUUID()) // over 500 kB of intents before the first outcome
  const intents = ids.map((id, n) => line(id, { intent: intentOf(`call-${n}`) }))
  const text = [...intents, ...ids.map((id) => line(id, { outcome: ok }))].join('')
  await writeFile(join(folder, 'aaaa-long.spool'), text)
  await using gateway = await openGateway(database, { spool: { folder } })
  await until(async () => (await readdir(folder)).length === 0)
  const sealed = await records()
  expect(sealed.map(({ status }) => status)).toEqual(ids.map(() => 'ok'))
  expect(gateway.faults).toEqual([])
})

test('an outcome that comes after its intent was sealed as unknown is a record that names it, once', async () => {
  const folder = await newFolder()
  const id = randomUUID()
  const intent = intentOf('late')
  await writeFile(join(folder, 'aaaa-first.spool'), line(id, { intent }))
  await using gateway = await openGateway(database, { spool: { folder } })
  await until(async () => (await records()).length === 1)
  for (const name of ['bbbb-second.spool', 'cccc-again.spool'])
    await writeFile(join(folder, name), line(id, { intent, outcome: ok }))
  await until(async () => (await readdir(folder)).length === 0)
  expect(await records()).toMatchObject([
    { id, status: 'unknown', follows: null },
    { status: 'ok', follows: id, idempotency_key: 'late' },
  ])
  expect(gateway.faults).toEqual([])
})

test('what stands in two spools is in the chain once', async () => {
  const folder = await newFolder()
  const id = randomUUID()
  for (const name of ['aaaa-one.spool', 'bbbb-two.spool'])
    await writeFile(join(folder, name), line(id, { intent: intentOf('twice'), outcome: ok }))
  await using _gateway = await openGateway(database, { spool: { folder } })
  await until(async () => (await readdir(folder)).length === 0)
  expect(await records()).toMatchObject([{ id, status: 'ok' }])
})

test('lines that nobody can read keep nobody else back, and their file is kept aside', async () => {
  const folder = await newFolder()
  const text = `{"id":\n${line(randomUUID(), { outcome: ok })}${line(randomUUID(), { intent: intentOf('good'), outcome: ok })}`
  await writeFile(join(folder, 'aaaa-odd.spool'), text)
  await using gateway = await openGateway(database, { spool: { folder } })
  await until(async () => (await readdir(folder)).some((name) => name.endsWith('.rejected')))
  expect(await records()).toMatchObject([{ idempotency_key: 'good', status: 'ok' }])
  expect(gateway.faults).toMatchObject([{ spool: 'aaaa-odd', lines: 2 }])
})

test('a character that JSON cannot sign keeps nothing out of the chain', async () => {
  const folder = await newFolder()
  const odd = { ...intentOf('odd'), resource: 'half \ud800 of a pair', action: 'nul \0' }
  const named = { ...intentOf('named'), agentVariables: { '\udfff': 'a name' } }
  const all = [odd, named, intentOf('good')].map((intent) => line(randomUUID(), { intent, outcome: ok }))
  await writeFile(join(folder, 'aaaa-odd.spool'), all.join(''))
  await using gateway = await openGateway(database, { spool: { folder } })
  await until(async () => (await readdir(folder)).some((name) => name.endsWith('.rejected')))
  expect((await records()).map(({ resource, action }) => [resource, action])).toEqual([
    ['half \ufffd of a pair', 'nul \ufffd'],
    ['notes/read_note', 'tool.call'],
  ])
  expect(gateway.faults).toMatchObject([{ spool: 'aaaa-odd', lines: 1 }])
})

test('the spool of a living process is left alone by another', async () => {
  const folder = await newFolder()
  await using gateway = await openGateway(database, { spool: { folder } })
  await using other = await openGateway(database, { spool: { folder } })
  await gateway.pipeline.run(toolCall(person, 'read', { effectKey: 'slow' }), async () => {
    await other.sealer.drain()
    await new Promise((resolve) => setTimeout(resolve, 1_200)) // a sweep of the other
    expect(await records()).toEqual([])
    return { value: null }
  })
  await gateway.sealer.drain()
  expect(await records()).toMatchObject([{ status: 'ok', follows: null }])
})

test('a process that loses its lock goes on in a new spool, and nothing is lost or doubled', async () => {
  const folder = await newFolder()
  await using gateway = await openGateway(database, { spool: { folder } })
  await read(gateway, { effectKey: 'before' })
  await gateway.pipeline.run(toolCall(person, 'read', { effectKey: 'over' }), async () => {
    const [name] = await readdir(folder)
    await asIntruder(
      database,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'test-spool' AND datname = current_database()`,
    )
    await until(async () => !(await readdir(folder)).includes(name ?? '')) // sealed by whoever has the lock now
    return effect()
  })
  await read(gateway, { effectKey: 'after' })
  await gateway.sealer.drain()
  const sealed = (await records()).map(({ idempotency_key, status, follows }) => [idempotency_key, status, follows])
  const over = (await records()).find(({ status }) => status === 'unknown')
  expect(new Set(sealed.map((each) => each.join(' ')))).toEqual(
    new Set(['before ok ', 'over unknown ', `over ok ${over?.id}`, 'after ok ']),
  )
  expect(sealed).toHaveLength(4)
})

test('what was written while a spool was taken over is written again elsewhere before anybody relies on it', async () => {
  const folder = await newFolder()
  const files = createSpoolFiles({ folder })
  const spool = createAuditSpool({ files, log: { error: () => undefined }, onWrite: () => undefined })
  const first = await spool.begin(randomUUID(), intentOf('first'))
  const [name = ''] = await readdir(folder)
  await rename(join(folder, name), join(folder, name.replace('.spool', '.taken')))
  await spool.end(first, ok)
  const [written = ''] = await spooledIn(folder)
  expect(JSON.parse(written)).toMatchObject({ id: first.id, intent: { idempotency_key: 'first' }, outcome: ok })
  await spool.close()
})

test('all that is asked for in one turn of the event loop is one write', async () => {
  const files = createSpoolFiles({ folder: await newFolder() })
  let writes = 0
  const spool = createAuditSpool({ files, log: { error: () => undefined }, onWrite: () => (writes += 1) })
  const begun = await Promise.all(['a', 'b', 'c'].map((key) => spool.begin(randomUUID(), intentOf(key))))
  expect(writes).toBe(1)
  await Promise.all(begun.map((each) => spool.end(each, ok)))
  expect(writes).toBe(2)
  await spool.close()
  await expect(spool.begin(randomUUID(), intentOf('d'))).rejects.toMatchObject({ code: 'evidence-unavailable' })
})

test('an effect that lasts keeps no file: its intent is carried on', async () => {
  const folder = await newFolder()
  await using gateway = await openGateway(database, { spool: { folder, fileBytesMax: 5_000, bytesMax: 20_000 } })
  await gateway.pipeline.run(toolCall(person, 'read', { effectKey: 'slow' }), async ({ attemptId }) => {
    for (let n = 0; n < 30; n += 1) {
      expect(await read(gateway, { effectKey: `quick-${n}` })).toMatchObject({ kind: 'done' })
      if (n % 5 === 4) await gateway.sealer.drain()
    }
    expect((await readdir(folder)).length).toBeLessThanOrEqual(2)
    expect((await spooledIn(folder)).filter((each) => each.includes(attemptId))).toHaveLength(1)
    return effect()
  })
  await gateway.sealer.drain()
  const sealed = await records()
  expect(sealed.filter(({ idempotency_key }) => idempotency_key === 'slow')).toMatchObject([{ status: 'ok' }])
  expect(sealed).toHaveLength(31)
  expect(gateway.faults).toEqual([])
})

test('an intent that was carried on and whose process dies is one record', async () => {
  const folder = await newFolder()
  const files = createSpoolFiles({ folder })
  const spool = createAuditSpool({ files, log: { error: () => undefined }, onWrite: () => undefined })
  const begun = await spool.begin(randomUUID(), intentOf('carried'))
  const ended = await spool.begin(randomUUID(), intentOf('ended'))
  await spool.end(ended, ok)
  files.leave()
  expect(await spool.carry([begun.id, ended.id])).toEqual([begun.id])
  await using gateway = await openGateway(database, { spool: { folder } }) // their locks are nobody's
  await until(async () => (await readdir(folder)).length === 0)
  expect(
    (await records()).map(({ idempotency_key, status }) => `${idempotency_key} ${status}`).toSorted(byText),
  ).toEqual(['carried unknown', 'ended ok'])
  expect(gateway.faults).toEqual([])
})

test.each([
  ['a time that is none', { ts: 'yesterday' }, null],
  ['a wallet that is none', { wallet_id: 'x' }, 'done'],
  ['a number that no JSON holds', { retries: Number.POSITIVE_INFINITY }, null],
  ['no text for its tenant', { tenant: ['a'] }, null],
])(
  'evidence with %s keeps nobody else out of the chain, and is in it as it is or by its hash',
  async (_title, faults, key) => {
    const folder = await newFolder()
    const [poison, good] = [randomUUID(), randomUUID()]
    const text = JSON.stringify({ id: poison, intent: { ...intentOf('done'), ...faults }, outcome: ok })
    const written = text
      .replace('"retries":null', '"retries":1e400')
      .replace('"tenant":["a"]', `"tenant":["${person.tenant}"]`)
    await writeFile(
      join(folder, 'aaaa-dead.spool'),
      `${written}\n${line(good, { intent: intentOf('after'), outcome: ok })}`,
    )
    await using gateway = await openGateway(database, { spool: { folder } })
    await until(async () => (await readdir(folder)).length === 0)
    const sealed = await records()
    expect(new Set(sealed.map(({ id }) => id))).toEqual(new Set([poison, good]))
    const odd = sealed.find(({ id }) => id === poison)
    expect(odd).toMatchObject(
      key === null
        ? { action: 'evidence.set-aside', status: 'unknown', tenant: person.tenant }
        : { idempotency_key: key, ...faults },
    )
    expect(odd?.input_sha256).toMatch(/^[0-9a-f]{64}$/)
    expect(gateway.faults).toHaveLength(key === null ? 1 : 0)
  },
)
