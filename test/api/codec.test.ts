// The codec endpoint: for operators, for the Temporal UI's page, and on record.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDoorRig, type DoorRig, type Person } from '../support/door-rig.ts'

let rig: DoorRig
let operator: Person

beforeAll(async () => {
  rig = await createDoorRig()
  operator = await rig.signIn({ roles: ['owner', 'operator'] })
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const ui = 'http://127.0.0.1:8233'
const clear = { metadata: { encoding: btoa('json/plain') }, data: btoa('"hello"') }
const bodyOf = async (reply: Response) => (await reply.json()) as { code?: string; payloads?: (typeof clear)[] }
const records = async () => Number((await rig.ledger.query('SELECT count(*) AS n FROM audit_pending'))[0]?.['n'])
const sealed = async () => Number((await rig.ledger.query('SELECT count(*) AS n FROM audit_record'))[0]?.['n'])

test('who is nobody, or no operator, reads nothing', async () => {
  const owner = await rig.signIn()
  const narrow = await rig.signIn({ roles: ['operator'], permissions: ['chat:*'] })
  for (const operation of ['decode', 'encode']) {
    const path = `/temporal/codec/${operation}`
    const body = { payloads: [clear] }
    expect((await fetch(`${rig.base}${path}`, { method: 'POST' })).status).toBe(401)
    expect((await owner.call('POST', path, { body })).status).toBe(403)
    expect((await narrow.call('POST', path, { body })).status).toBe(403)
  }
})

test.each<[string, unknown, number]>([
  ['no payloads', {}, 400],
  ['too many payloads', { payloads: Array.from({ length: 501 }, () => clear) }, 400],
  ['data that is no base64', { payloads: [{ data: '***' }] }, 400],
  [
    'a key that is not here',
    {
      payloads: [{ metadata: { encoding: btoa('binary/encrypted'), 'encryption-key-id': btoa('x') }, data: btoa('x') }],
    },
    400,
  ],
  [
    'a ciphertext cut short',
    {
      payloads: [
        { metadata: { encoding: btoa('binary/encrypted'), 'encryption-key-id': btoa('test') }, data: btoa('x') },
      ],
    },
    400,
  ],
  ['too many bytes', { payloads: [], pad: 'x'.repeat(8_000_001) }, 413],
])('%s is refused', async (...row) => {
  const [, body, status] = row
  expect((await operator.call('POST', '/temporal/codec/decode', { body })).status).toBe(status)
})

test('a page from elsewhere is refused, the Temporal UI is let in with its cookie', async () => {
  const headers = { origin: 'http://elsewhere.example' }
  expect((await operator.call('POST', '/temporal/codec/decode', { body: { payloads: [] }, headers })).status).toBe(403)
  const preflight = await fetch(`${rig.base}/temporal/codec/decode`, { method: 'OPTIONS', headers: { origin: ui } })
  expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, ui])
  expect(preflight.headers.get('access-control-allow-credentials')).toBe('true')
  const cookie = `__Host-gatehouse=${operator.principal.tokenId}`
  const reply = await fetch(`${rig.base}/temporal/codec/decode`, {
    method: 'POST',
    headers: { cookie, origin: ui, 'content-type': 'application/json' },
    body: JSON.stringify({ payloads: [] }),
  })
  expect([reply.status, reply.headers.get('access-control-allow-origin')]).toEqual([200, ui])
  const elsewhere = await fetch(`${rig.base}/agents`, { headers: { origin: ui } })
  expect(elsewhere.status).toBe(403)
})

test('what was encoded is ciphertext, comes back, and each reading is on record', async () => {
  const before = (await records()) + (await sealed())
  const encoded = await bodyOf(await operator.call('POST', '/temporal/codec/encode', { body: { payloads: [clear] } }))
  expect(atob(encoded.payloads?.[0]?.metadata.encoding ?? '')).toBe('binary/encrypted')
  expect(JSON.stringify(encoded)).not.toContain(clear.data)
  const body = { payloads: encoded.payloads }
  expect(await bodyOf(await operator.call('POST', '/temporal/codec/decode', { body }))).toEqual({ payloads: [clear] })
  await expect.poll(sealed).toBeGreaterThanOrEqual(before + 2)
})
