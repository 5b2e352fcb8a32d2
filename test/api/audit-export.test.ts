// Exports over HTTP: who gets a whole chain, what is refused, and readers that take their time.
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAuditRoutes } from '../../api/audit.ts'
import { sendLines } from '../../api/ndjson.ts'
import { createSeal } from '../../crypto/seal.ts'
import { auditExportsAtOnce } from '../../domain/limits.ts'
import { testMasterKey } from '../support/api.ts'
import { createEvidenceRig, type EvidenceRig, type Witness } from '../support/evidence-rig.ts'

let rig: EvidenceRig
let owner: Witness

beforeAll(async () => {
  rig = await createEvidenceRig()
  owner = await rig.join()
  await owner.act(3)
})
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]()
})

const path = '/api/v1/audit/export'

test.each([
  '',
  'day=yesterday',
  'day=2026-02-30',
  'day=2026-01-31&after=0',
  'to=3',
  'day=2026-01-31&to=3',
  'after=-1',
  'after=0x1',
  'after=4',
  'after=0&redact=yes',
  'after=0&colour=red',
])('an export with "%s" is refused before a line is written', async (query) => {
  const reply = await owner.call('GET', `${path}?${query}`)
  expect([reply.status, ((await reply.json()) as { code: string }).code]).toEqual([400, 'request-invalid'])
})

test('a member does not get the chain of all, its admins and approvers do, and operators any', async () => {
  const worker = await rig.join({ tenant: 'mill', roles: ['owner'] })
  await worker.act(2)
  expect((await worker.call('GET', `${path}?after=0`)).status).toBe(404)
  expect((await owner.call('GET', `${path}?after=0&tenant=mill`)).status).toBe(404)
  for (const role of ['admin', 'approver'] as const) {
    const chief = await rig.join({ tenant: 'mill', roles: [role] })
    const reply = await chief.call('GET', `${path}?after=0`)
    expect((await reply.text()).trimEnd().split('\n')).toHaveLength(4)
  }
  const operator = await rig.join({ tenant: 'yard', roles: ['operator'] })
  expect((await operator.call('GET', `${path}?after=0&tenant=mill`)).status).toBe(200)
})

test('a wallet of its own gets its chain as a file of lines', async () => {
  const reply = await owner.call('GET', `${path}?after=0&to=2`)
  expect([reply.status, reply.headers.get('content-type'), reply.headers.get('content-disposition')]).toEqual([
    200,
    'application/x-ndjson; charset=utf-8',
    'attachment; filename="audit-1-2.ndjson"',
  ])
  const text = await reply.text()
  expect(text.endsWith('\n')).toBe(true)
  const lines = text.trimEnd().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { seq?: number }).seq)).toEqual([undefined, 1, 2, 2])
})

test('more exports at once than one process serves are told to come back', async () => {
  const seal = createSeal(testMasterKey)
  const deps = { pool: rig.api.database.pool, keys: rig.gateway.keys, seal, clock: () => new Date() }
  const exporting = createAuditRoutes(deps).find((route) => route.path === path)
  const begin = (query: Record<string, unknown>) =>
    exporting?.handle({ principal: owner.principal, query } as unknown as Parameters<typeof exporting.handle>[0])
  for (let n = 0; n < auditExportsAtOnce; n += 1) {
    await expect(begin({ after: 99 })).rejects.toMatchObject({ code: 'request-invalid' }) // takes no place
    await begin({ after: 0 })
  }
  await expect(begin({ after: 0 })).rejects.toMatchObject({ code: 'rate-limited', retryAfterMs: 5_000 })
})

test('a reader that takes nothing holds the lines back, and is dropped in the end', async () => {
  let produced = 0
  let over: (() => void) | undefined
  const ended = new Promise<void>((resolve) => (over = resolve))
  async function* endless() {
    try {
      for (;;) {
        produced += 1
        yield 'x'.repeat(10_000)
      }
    } finally {
      over?.()
    }
  }
  const server = createServer((_request, response) => {
    void sendLines(response, { fileName: 'f', lines: endless() }, 150)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const reply = await new Promise<IncomingMessage>((resolve) =>
    get(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, resolve),
  )
  reply.pause()
  await ended
  expect(produced).toBeLessThan(3_000) // socket buffers, not the file
  const cut = new Promise<string>((resolve) =>
    reply.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? '')),
  )
  reply.resume()
  expect(await cut).toBe('ECONNRESET')
  await new Promise((resolve) => server.close(resolve))
})
