// `gatehouse audit` against the real API: what a person lists, exports, and verifies with the network unplugged.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createSeal } from '../../crypto/seal.ts'
import { keepPayloads } from '../../gateway/audit-payload.ts'
import { asIntruder, toolCall } from '../gateway/fixture.ts'
import { testMasterKey } from '../support/api.ts'
import { signedInDesk, type Desk } from '../support/cli.ts'
import { startSinkDouble } from '../support/sink-double.ts'
import { createEvidenceRig, type EvidenceRig, type Witness } from '../support/evidence-rig.ts'

let rig: EvidenceRig
let owner: Witness
let desk: Desk

const offline = { fetch: () => Promise.reject(new TypeError('There is no network.')) }

beforeAll(async () => {
  rig = await createEvidenceRig()
  owner = await rig.join()
  await owner.act(4)
})
beforeEach(async () => {
  desk = signedInDesk(rig.api.url, owner.token)
  desk.files.set('/here/keys.json', (await desk.run(['audit', 'keys'])).out)
})
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]()
})

const verify = (files: readonly string[], ...more: string[]) =>
  desk.run(['audit', 'verify', ...files, '--keys', 'keys.json', ...more], offline)

async function exportTo(file: string, ...words: string[]): Promise<string[]> {
  const ran = await desk.run(['audit', 'export', ...words, '--output', file])
  expect(ran).toMatchObject({ code: 0, err: '' })
  return (desk.files.get(`/here/${file}`) ?? '').trimEnd().split('\n')
}

test.each([
  ['audit'],
  ['audit', 'burn'],
  ['audit', 'list', '--decision', 'maybe'],
  ['audit', 'list', '--limit', 'ten'],
  ['audit', 'export'],
  ['audit', 'export', '--day', '2026-01-31', '--after', '0'],
  ['audit', 'export', '--day', '2026-01-31', '--to', '3'],
  ['audit', 'export', '--after', '-1'],
  ['audit', 'export', '--after', '99'],
  ['audit', 'verify', 'nowhere.ndjson'],
  ['audit', 'verify', 'nowhere.ndjson', '--keys', 'keys.json'],
  ['audit', 'verify', 'keys.json', '--keys', 'nowhere.json'],
  ['audit', 'verify', '--keys', 'keys.json'],
  ['audit', 'upload'],
  ['audit', 'upload', '--to', 'https://store.example/'],
  ['audit', 'upload', '--to', 'http://store.example/', '--state', 'o'],
  ['audit', 'upload', '--to', 'nowhere', '--state', 'o'],
  ['audit', 'upload', '--to', 'https://store.example/', '--state', 'keys.json'],
  ['audit', 'upload', '--to', 'https://store.example/', '--state', 'o', '--token', 'nothing'],
])('wrong words end with 2: %s %s %s %s %s %s %s %s', async (...words) => {
  const ran = await desk.run(words.filter((word) => typeof word === 'string'))
  expect([ran.code, ran.out]).toEqual([2, ''])
  expect(ran.err).toMatch(/^gatehouse: /)
})

test('records are listed newest first, and page by page', async () => {
  const ran = await desk.run(['audit', 'list', '--limit', '2'])
  expect(ran.out).toMatch(
    /^record +time \(UTC\) +action +resource +decision +status\n4 +\S+ \S+ +\S+ +\S+ +allow +ok\n3 /,
  )
  const cursor = /--cursor (\S+)\./.exec(ran.out)?.[1] ?? ''
  expect((await desk.run(['audit', 'list', '--cursor', cursor])).out).toMatch(/\n2 .*\n1 /)
  expect((await desk.run(['audit', 'list', '--decision', 'deny'])).out).toBe('There is no such record.\n')
  const { records } = JSON.parse((await desk.run(['audit', 'list', '--json'])).out) as { records: unknown[] }
  expect(records).toHaveLength(4)
})

test('exports verify without a network, say their form, and continue each other', async () => {
  await exportTo('one.ndjson', '--after', '0', '--to', '2')
  await exportTo('two.ndjson', '--after', '2', '--redact')
  const ran = await verify(['one.ndjson', 'two.ndjson'])
  expect(ran).toMatchObject({ code: 0, err: '' })
  expect(ran.out).toMatch(/^one\.ndjson: 2 original records \(1 to 2\) of 0x[0-9a-f]{40} stand, checkpoint of /)
  expect(ran.out).toMatch(
    /two\.ndjson: 2 redacted records, by the hashes of the originals \(3 to 4\) of anon-\w+ stand/,
  )
  const json = JSON.parse((await verify(['two.ndjson'], '--json')).out) as Record<string, unknown>
  expect(json).toMatchObject({ ok: true, files: [{ file: 'two.ndjson', ok: true, form: 'redacted', records: 2 }] })
  expect(await verify(['two.ndjson', 'one.ndjson'])).toMatchObject({
    code: 10,
    out: expect.stringMatching(/one\.ndjson: Broken at record 5: the file does not continue the one before/) as string,
  })
})

test.each([
  [
    'an edited record',
    (text: string) => text.replace('"retries":0', '"retries":9'),
    /Broken at record 1: the signature/,
  ],
  ['a file cut in a line', (text: string) => text.slice(0, 3_000), /Broken at record \d: /],
  ['bytes that are no text', () => '\uD800', /Broken: the file does not begin as an export does/],
])('%s ends with 10', async (_name, touch, sentence) => {
  await exportTo('one.ndjson', '--after', '0')
  desk.files.set('/here/one.ndjson', touch(desk.files.get('/here/one.ndjson') ?? ''))
  const ran = await verify(['one.ndjson'])
  expect([ran.code, ran.err]).toEqual([10, ''])
  expect(ran.out).toMatch(sentence)
})

test('an export goes to the output as it is, line by line', async () => {
  const ran = await desk.run(['audit', 'export', '--after', '0'])
  const lines = ran.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { seq?: number })
  expect([ran.code, lines.map(({ seq }) => seq)]).toEqual([0, [undefined, 1, 2, 3, 4, 4]])
  const today = new Date().toISOString().slice(0, 10)
  expect(await exportTo('day.ndjson', '--day', today)).toHaveLength(6)
  expect((await verify(['day.ndjson'])).out).toMatch(/ UTC\. The day was not over when this was exported\.\n$/)
})

test('the server walks the chain; what is broken ends with 10, in an export too', async () => {
  expect(await desk.run(['audit', 'verify'])).toMatchObject({ code: 0, out: 'The chain stands: 4 records.\n' })
  const person = await rig.join()
  await person.act(3)
  const touch = `UPDATE audit_record SET body = replace(body, '"retries":0', '"retries":9') WHERE tenant = $1 AND seq = 2`
  await asIntruder(rig.api.database, touch, [person.principal.tenant])
  const theirs = signedInDesk(rig.api.url, person.token)
  expect(await theirs.run(['audit', 'verify'])).toMatchObject({
    code: 10,
    out: expect.stringMatching(/record 2/) as string,
  })
  const ran = await theirs.run(['audit', 'export', '--after', '0', '--output', 'f'])
  expect([ran.code, ran.err]).toEqual([10, expect.stringMatching(/Broken at record 2: the server would not sign/)])
})

test('a payload is shown where it is kept, and held against the hashes of its record', async () => {
  const person = await rig.join()
  const theirs = signedInDesk(rig.api.url, person.token)
  const { pool } = rig.api.database
  const seal = createSeal(testMasterKey)
  const keeping = keepPayloads(rig.gateway.pipeline, { pool, seal, log: { warn: () => undefined } })
  await keeping.run(toolCall(person.principal, 'write'), async () => ({ value: 1, output: { sum: 42 } }))
  await rig.gateway.sealer.drain()
  const { records } = (await person.json('GET', '/api/v1/audit')) as { records: { id: string }[] }
  const id = records[0]?.id ?? ''
  expect(await theirs.run(['audit', 'payload', id])).toEqual({
    code: 0,
    out: 'input   {"text":"hello"}\noutput  {"sum":42}\n',
    err: '',
  })
  const forged = seal.seal(`audit-payload/${id}`, Buffer.from('{"input":"{}","output":null}'))
  await asIntruder(rig.api.database, 'UPDATE audit_payload SET sealed = $2 WHERE id = $1', [id, forged])
  expect(await theirs.run(['audit', 'payload', id, '--json'])).toMatchObject({ code: 10 })
  expect(await desk.run(['audit', 'payload', id])).toMatchObject({ code: 5 })
  expect(await desk.run(['audit', 'payload', 'x'])).toMatchObject({ code: 2 })
})

test('an upload goes on from its offset file, and keeps to its sink', async () => {
  await using sink = await startSinkDouble()
  const words = ['audit', 'upload', '--state', 'offset', '--to']
  desk.files.set('/here/token', 'secret\n')
  sink.next('put', 400)
  expect(await desk.run([...words, `${sink.url}/upload-url?key=hidden`, '--token', 'token'])).toMatchObject({ code: 8 })
  const ran = await desk.run([...words, `${sink.url}/upload-url?key=hidden`, '--token', 'token'])
  expect(ran).toMatchObject({ err: '', code: 0, out: '4 records sent; the sink has the chain up to record 4.\n' })
  expect(sink.requests[0]).toMatchObject({ authorization: 'Bearer secret' })
  expect(desk.files.get('/here/offset')).not.toContain('hidden')
  const again = await desk.run([...words, `${sink.url}/upload-url`, '--json'])
  expect(JSON.parse(again.out)).toEqual({ records: 0, parts: 0, seq: 4 })
  expect(await desk.run([...words, `${sink.url}/other`])).toMatchObject({ code: 2, out: '' })
  // What lies in the store verifies as it is.
  desk.files.set('/here/stored', [...sink.files.values()][0] ?? '')
  expect(await verify(['stored'])).toMatchObject({ code: 0 })
  desk.exposed.add('/here/token')
  expect((await desk.run([...words, `${sink.url}/upload-url`, '--token', 'token'])).err).toMatch(/chmod 600/)
})

test('a collector gets OCSF events, under an offset of its own', async () => {
  await using sink = await startSinkDouble()
  const words = ['audit', 'upload', '--to', `${sink.url}/events`, '--ocsf', '--redact', '--state', 'siem']
  sink.next('events', 503)
  expect(await desk.run(words)).toMatchObject({ code: 0 })
  const events = [...sink.events.values()].flat() as { class_uid: number }[]
  expect(events.map((event) => event.class_uid)).toEqual([6003, 6003, 6003, 6003])
  sink.next('events', 401)
  await owner.act(1)
  const ran = await desk.run(words)
  expect([ran.code, ran.err]).toEqual([8, expect.stringMatching(/answered 401/)])
  expect(ran.err).not.toMatch(/Sign in/)
})
