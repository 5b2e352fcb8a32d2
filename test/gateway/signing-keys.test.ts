// The installation's keys: made once whoever starts first, sealed at rest, shared, rotated without forgetting.
import { randomBytes, verify } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSeal } from '../../crypto/seal.ts'
import type { Pool } from '../../db/pool.ts'
import { createSigningKeys, type SigningKeys } from '../../gateway/signing-keys.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let replicas: SigningKeys[]
const seal = createSeal(randomBytes(32))
let now = Date.now()
const clock = () => new Date(now)
const replica = () => createSigningKeys({ pool: database.pool, seal, clock })

beforeAll(async () => {
  database = await createTestDatabase()
  replicas = await Promise.all([replica(), replica(), replica()])
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

test('another master key opens nothing', async () => {
  const other = createSigningKeys({ pool: database.pool, seal: createSeal(randomBytes(32)), clock })
  await expect(other).rejects.toThrow('authenticate')
})

test('replicas that start together agree on one active key for each purpose', async () => {
  for (const purpose of ['access-token', 'audit'] as const) {
    expect(new Set(replicas.map((keys) => keys.active(purpose).kid)).size).toBe(1)
  }
  const { rows } = await database.pool.query('SELECT purpose, state FROM signing_key ORDER BY purpose')
  expect(rows).toEqual([
    { purpose: 'access-token', state: 'active' },
    { purpose: 'audit', state: 'active' },
  ])
})

test('no private part is published or stored in the clear', async () => {
  const [keys] = replicas
  for (const { jwk } of keys?.publicKeys('access-token') ?? []) expect(jwk).not.toHaveProperty('d')
  const { rows } = await database.pool.query<{ sealed: Buffer; jwk: object }>(
    'SELECT sealed, public_jwk AS jwk FROM signing_key',
  )
  for (const { sealed, jwk } of rows) {
    expect(jwk).not.toHaveProperty('d')
    expect(sealed.includes(Buffer.from('2a8648ce3d0301', 'hex'))).toBe(false) // the algorithm's id in any PKCS #8 key
  }
})

test('a signature of one replica verifies with the key of another', async () => {
  const [one, two] = replicas
  const bytes = Buffer.from('a record')
  const signed = one?.sign('audit', bytes)
  const key = await two?.find(signed?.kid ?? '')
  expect(key && signed && verify(null, bytes, key.key, signed.signature)).toBe(true)
})

test('after a rotation old keys verify, and replicas learn of the new one when they meet it', async () => {
  const [one, two, three] = replicas
  const before = one?.active('access-token').kid ?? ''
  const after = (await one?.rotate('access-token')) ?? ''
  expect(after).not.toBe(before)
  expect(one?.publicKeys('access-token').map(({ kid }) => kid)).toEqual([before, after])
  expect((await one?.find(before))?.kid).toBe(before)
  expect(two?.active('access-token').kid).toBe(before)
  const met = await Promise.all([two?.find(after), two?.find(after)])
  expect(met.map((key) => key?.kid)).toEqual([after, after])
  expect(two?.active('access-token').kid).toBe(after)
  expect(await three?.find('unknown')).toBeUndefined()
})

test('a replica that only signs uses the new key within 30 seconds, and what the old one signed still verifies', async () => {
  const [one, two] = replicas
  const bytes = Buffer.from('a record')
  const old = two?.sign('audit', bytes)
  await two?.refresh()
  const after = await one?.rotate('audit')
  now += 29_000
  await two?.refresh()
  expect(two?.active('audit').kid).toBe(old?.kid)
  now += 2_000
  await two?.refresh()
  expect(two?.active('audit').kid).toBe(after)
  const retired = two?.publicKeys('audit').find(({ kid }) => kid === old?.kid)?.key
  expect(retired && old && verify(null, bytes, retired, old.signature)).toBe(true)
})

/** The database with something before each query. */
const poolWith = (before: () => void) => {
  const query = async (...order: Parameters<Pool['query']>) => {
    before()
    return database.pool.query(...order)
  }
  return { query } as unknown as Pool
}

test('unknown ids, however many, read the rows once a second, and keep no new key from being found', async () => {
  let reads = 0
  const keys = await createSigningKeys({ pool: poolWith(() => void (reads += 1)), seal, clock })
  reads = 0
  for (let n = 0; n < 50; n += 1) await keys.find(`unknown-${n}`)
  await Promise.all(Array.from({ length: 50 }, (_each, n) => keys.find(`other-${n}`)))
  expect(reads).toBe(1)
  const fresh = (await replicas[0]?.rotate('access-token')) ?? ''
  expect(await keys.find(fresh)).toBeUndefined()
  now += 1_000
  expect((await keys.find(fresh))?.kid).toBe(fresh)
})

test('a clock that was set back does not keep a new key from being found', async () => {
  const keys = await replica()
  await keys.find('unknown')
  const fresh = (await replicas[0]?.rotate('access-token')) ?? ''
  now -= 3_600_000
  expect((await keys.find(fresh))?.kid).toBe(fresh)
})

test('while the rows cannot be read an unknown id is no forgery: the fault is thrown, and tried again', async () => {
  let isDown = false
  const pool = poolWith(() => {
    if (isDown) throw new Error('down')
  })
  const keys = await createSigningKeys({ pool, seal, clock })
  isDown = true
  for (let n = 0; n < 3; n += 1) await expect(keys.find('unknown')).rejects.toThrow('down')
  isDown = false
  now += 1_000
  expect(await keys.find('unknown')).toBeUndefined()
  await keys.refresh()
})
