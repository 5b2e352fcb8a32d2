// Exports as a stranger checks them: with the file and the public keys, nothing else.
import { generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openAuditKeys } from '../../crypto/portable/audit-keys.ts'
import { canonicalJson } from '../../crypto/portable/canonical-json.ts'
import type { ChainTools } from '../../crypto/portable/audit-chain.ts'
import { auditExportPageRows } from '../../domain/limits.ts'
import { openExport } from '../../gateway/audit-export.ts'
import type { ExportQuery } from '../../schemas/audit-view.ts'
import { verifyExport } from '../../sdk/audit-file.ts'
import { testMasterKey } from '../support/api.ts'
import { asIntruder, openGateway, toolCall } from './fixture.ts'
import { createEvidenceRig, type EvidenceRig, type Witness } from '../support/evidence-rig.ts'

let rig: EvidenceRig
let owner: Witness
let tools: ChainTools

beforeAll(async () => {
  rig = await createEvidenceRig()
  owner = await rig.join()
  await owner.act(5)
  tools = await openAuditKeys({ keys: rig.gateway.keys.publicKeys('audit').map(({ jwk }) => jwk) })
})
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]()
})

async function exported(person: Witness, query: ExportQuery): Promise<string[]> {
  const deps = { pool: rig.api.database.pool, keys: rig.gateway.keys, clock: () => new Date() }
  const lines: string[] = []
  for await (const line of (await openExport(deps, person.principal, query)).lines) lines.push(line)
  return lines
}

const check = (lines: readonly string[]) => verifyExport(lines, { tools })

/** A line as somebody with a key of their own would sign it. */
function resigned(line: string): string {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { sig: _sig, ...unsigned } = JSON.parse(line) as Record<string, unknown>
  const signature = sign(null, Buffer.from(canonicalJson(unsigned)), privateKey).toString('base64')
  return canonicalJson({ ...unsigned, sig: `ed25519:${signature}` })
}

/** Another text for the same bytes: four bits of the last character before the padding mean nothing. */
const respelled = (line: string) => line.replace(/[AQgw](?===")/, (last) => String.fromCharCode(last.charCodeAt(0) + 1))

const edited = (line: string) =>
  line.replace('"action":"call"', '"action":"coll"').replace('"retries":0', '"retries":1')

describe.each(['original', 'redacted'] as const)('an export in %s form', (form) => {
  const query: ExportQuery = { after: 0, redact: form === 'redacted' ? 'true' : 'false' }

  test('verifies, and says which form was checked', async () => {
    const lines = await exported(owner, query)
    expect(lines).toHaveLength(7)
    expect(await check(lines)).toMatchObject({ ok: true, form, records: 5, from: { seq: 0 }, to: { seq: 5 } })
  })

  const touches: readonly (readonly [string, number | null, (lines: string[]) => string[]])[] = [
    ['an edited record', 3, (lines) => lines.with(3, edited(lines[3] ?? ''))],
    ['a deleted record', 3, (lines) => lines.toSpliced(3, 1)],
    ['two swapped records', 2, (lines) => lines.with(2, lines[3] ?? '').with(3, lines[2] ?? '')],
    ['a record twice', 3, (lines) => lines.toSpliced(3, 0, lines[2] ?? '')],
    ['a record signed with another key', 4, (lines) => lines.with(4, resigned(lines[4] ?? ''))],
    ['a signature that is spelled otherwise', 5, (lines) => lines.with(5, respelled(lines[5] ?? ''))],
    ['an opening line whose signature is spelled otherwise', null, (lines) => lines.with(0, respelled(lines[0] ?? ''))],
    ['a cut end', 4, (lines) => lines.slice(0, 4)],
    ['a cut end with the checkpoint in place', 4, (lines) => lines.toSpliced(4, 2)],
    ['a missing checkpoint', 6, (lines) => lines.slice(0, 6)],
    ['a checkpoint signed with another key', 6, (lines) => lines.with(6, resigned(lines[6] ?? ''))],
    ['a line after the checkpoint', 6, (lines) => [...lines, lines[5] ?? '']],
    ['a cut beginning', null, (lines) => lines.slice(2)],
    ['a changed opening line', null, (lines) => lines.with(0, (lines[0] ?? '').replace('"to":5', '"to":4'))],
    ['an opening line signed with another key', null, (lines) => lines.with(0, resigned(lines[0] ?? ''))],
    ['no line', null, () => []],
    ['space in a record', 2, (lines) => lines.with(2, (lines[2] ?? '').replace(',', ', '))],
  ]
  test.each(touches)('is betrayed by %s', async (_name, firstBrokenSeq, touch) => {
    const lines = await exported(owner, query)
    const touched = touch(lines)
    expect(touched).not.toEqual(lines)
    expect(await check(touched)).toMatchObject({ ok: false, firstBrokenSeq })
  })

  test('is betrayed by any other character anywhere, at the record of that line', async () => {
    const lines = await exported(owner, query)
    const place = fc.tuple(fc.nat(lines.length - 1), fc.nat(), fc.constantFrom(...'09aAfFgQwz"{}:,+/= -_'.split('')))
    await fc.assert(
      fc.asyncProperty(place, async ([index, at, character]) => {
        const line = lines[index] ?? ''
        // Half of the cases end in the signature, where two texts may mean the same bytes.
        const position = at % 2 === 0 ? at % line.length : line.indexOf('"sig":"ed25519:') + 15 + (at % 88)
        fc.pre(line[position] !== character)
        const touched = lines.with(index, line.slice(0, position) + character + line.slice(position + 1))
        const firstBrokenSeq = index === 0 ? null : index
        expect(await check(touched)).toMatchObject({ ok: false, firstBrokenSeq })
      }),
      { numRuns: 300 },
    )
  })

  test('goes on where an earlier one ended, and not elsewhere', async () => {
    const first = await check(await exported(owner, { ...query, to: 2 }))
    if (!first.ok) throw new Error(first.reason)
    const rest = await exported(owner, { ...query, after: 2 })
    expect(await verifyExport(rest, { tools, previous: first.to })).toMatchObject({ ok: true, records: 3 })
    const other = await exported(owner, { ...query, after: 3 })
    expect(await verifyExport(other, { tools, previous: first.to })).toMatchObject({ ok: false, firstBrokenSeq: 3 })
  })
})

test('a long chain is read a page at a time, no faster than it is taken, up to where it began', async () => {
  const person = await rig.join()
  const records = 2 * auditExportPageRows + 5
  await person.act(records)
  const { pool } = rig.api.database
  let pages = 0
  const counting = new Proxy(pool, {
    get: (target, name) => {
      if (name !== 'query') return Reflect.get(target, name) as unknown
      return (text: string, values: unknown[]) => {
        if (text.startsWith('SELECT seq, body FROM audit_record')) pages += 1
        return target.query(text, values)
      }
    },
  })
  const deps = { pool: counting, keys: rig.gateway.keys, clock: () => new Date() }
  const { lines } = await openExport(deps, person.principal, { after: 0 })
  const taken: string[] = []
  const readAt = new Map<number, number>()
  for await (const line of lines) {
    readAt.set(taken.push(line), pages)
    if (taken.length === 2) await person.act(3) // the chain grows meanwhile
  }
  expect([1, 2, auditExportPageRows + 1, auditExportPageRows + 2].map((at) => readAt.get(at))).toEqual([0, 1, 1, 2])
  expect(pages).toBe(3)
  expect(await check(taken)).toMatchObject({ ok: true, records })
})

test('a redacted export names no person, the same one by the same pseudonym, and another in the next export', async () => {
  const lines = await exported(owner, { after: 0, redact: 'true' })
  const { wallet, subject, sessionIds } = owner.principal
  const text = lines.join('\n').toLowerCase()
  for (const identity of [wallet, subject.id, sessionIds.usid]) expect(text).not.toContain(identity.toLowerCase())
  const subs = (all: readonly string[]) =>
    all.slice(1, -1).map((line) => (JSON.parse(line) as { record: { sub: string } }).record.sub)
  expect(new Set(subs(lines)).size).toBe(1)
  expect(subs(lines)[0]).toMatch(/^anon-[0-9a-f]{20}$/)
  expect(subs(await exported(owner, { after: 0, redact: 'true' }))[0]).not.toBe(subs(lines)[0])
  // The hashes are those of the original records.
  const original = (await exported(owner, { after: 0 })).slice(1, -1)
  const hashes = await Promise.all(original.map(async (line) => tools.sha256(line)))
  expect(lines.slice(1, -1).map((line) => (JSON.parse(line) as { sha256: string }).sha256)).toEqual(hashes)
})

test('lines of two redacted exports do not mix', async () => {
  const [one, two] = [
    await exported(owner, { after: 0, redact: 'true' }),
    await exported(owner, { after: 0, redact: 'true' }),
  ]
  expect(await check(one.with(2, two[2] ?? ''))).toMatchObject({ ok: false, firstBrokenSeq: 2 })
})

test('the files of all days are the whole chain, each record once', async () => {
  const person = await rig.join()
  await person.act(6)
  const move = 'UPDATE audit_record SET sealed_at = $2 WHERE tenant = $1 AND seq = $3'
  const times = ['2026-01-30T23:59:59Z', '2026-01-31T00:00:00Z', '2026-01-31T23:59:59.999Z']
  // The clock was set back over midnight once: record 5 was sealed "before" record 4.
  for (const [index, at] of [...times, '2026-02-02T00:00:01Z', '2026-02-01T23:59:59Z'].entries())
    await asIntruder(rig.api.database, move, [person.principal.tenant, at, index + 1])
  let previous
  const counts: number[] = []
  for (const day of ['2026-01-29', '2026-01-30', '2026-01-31', '2026-02-01', '2026-02-02']) {
    const verdict = await verifyExport(await exported(person, { day }), { tools, previous })
    if (!verdict.ok) throw new Error(verdict.reason)
    counts.push(verdict.records)
    previous = verdict.to
  }
  expect(counts).toEqual([0, 1, 2, 0, 2])
})

test('a day without records and a chain without any are files that verify', async () => {
  const person = await rig.join()
  expect(await check(await exported(person, { after: 0 }))).toMatchObject({ ok: true, records: 0, checkpointAt: null })
  await person.act(1)
  const past = await check(await exported(person, { day: '2020-01-01' }))
  expect(past).toMatchObject({ ok: true, records: 0, dayOver: true })
  const future = await check(await exported(person, { day: '2999-01-01' }))
  expect(future).toMatchObject({ ok: true, from: { seq: 1 }, dayOver: false })
})

test.each([
  [
    'a record that was touched',
    2,
    'UPDATE audit_record SET body = replace(body, \'"retries":0\', \'"retries":7\') WHERE tenant = $1 AND seq = 2',
  ],
  ['a record that is gone', 2, 'DELETE FROM audit_record WHERE tenant = $1 AND seq = 2'],
  ['a head that is gone', 5, 'DELETE FROM audit_head WHERE tenant = $1'],
])('nobody signs for %s', async (_name, broken, touch) => {
  const person = await rig.join()
  await person.act(4)
  const deps = { pool: rig.api.database.pool, keys: rig.gateway.keys, clock: () => new Date() }
  const file = await openExport(deps, person.principal, { after: 0 })
  await asIntruder(rig.api.database, touch, [person.principal.tenant])
  const lines: string[] = []
  for await (const line of file.lines) lines.push(line)
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ broken })
  expect(await check(lines)).toMatchObject({ ok: false, firstBrokenSeq: broken })
})

test('a chain that was cut off behind its checkpoint is not signed for again', async () => {
  const person = await rig.join()
  await person.act(4)
  await rig.cover(person.principal.tenant)
  await asIntruder(rig.api.database, 'DELETE FROM audit_record WHERE tenant = $1 AND seq > 2', [
    person.principal.tenant,
  ])
  const head = `UPDATE audit_head SET seq = 2, sha256 = (SELECT sha256 FROM audit_record WHERE tenant = $1 AND seq = 2) WHERE tenant = $1`
  await asIntruder(rig.api.database, head, [person.principal.tenant])
  const lines = await exported(person, { after: 0 })
  expect(JSON.parse(lines.at(-1) ?? '')).toEqual({ broken: 3, reason: 'the chain ends before its checkpoint' })
  expect(await check(lines)).toMatchObject({ ok: false, firstBrokenSeq: 3 })
})

test('a key that another process signs with counts at once', async () => {
  const person = await rig.join()
  await using other = await openGateway(rig.api.database, { masterKey: testMasterKey })
  await other.keys.rotate('audit')
  await other.pipeline.run(toolCall(person.principal, 'write'), async () => ({ value: 1 }))
  await other.sealer.drain()
  const lines = await exported(person, { after: 0 })
  // The API of the rig has heard of no rotation; neither has the gateway that exported.
  const keySet: unknown = await (await fetch(`${rig.api.url}/.well-known/audit-jwks.json`)).json()
  expect(await verifyExport(lines, { tools: await openAuditKeys(keySet) })).toMatchObject({ ok: true, records: 1 })
  expect(await person.json('POST', '/api/v1/audit/verify', {})).toMatchObject({ ok: true, checkedSeq: 1 })
})

test('records of a key that was replaced still verify', async () => {
  const person = await rig.join()
  await person.act(1)
  await rig.gateway.keys.rotate('audit')
  await person.act(1)
  const lines = await exported(person, { after: 0 })
  expect(await check(lines)).toMatchObject({ ok: false, firstBrokenSeq: null }) // the old key set lacks the new key
  const all = await openAuditKeys({ keys: rig.gateway.keys.publicKeys('audit').map(({ jwk }) => jwk) })
  expect(await verifyExport(lines, { tools: all })).toMatchObject({ ok: true, records: 2 })
})

test.each([{}, { keys: [{ kid: 'a', kty: 'EC', crv: 'P-256', x: '', y: '' }] }, 'keys'])(
  'what is no set of Ed25519 keys is refused: %j',
  async (keySet) => {
    await expect(openAuditKeys(keySet)).rejects.toThrow(TypeError)
  },
)
