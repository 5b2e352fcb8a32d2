// The revocation feed of one process: fast by notification, sure by polling, honest about its age.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createListener, type Queryable } from '../../db/pool.ts'
import { revokeScopes } from '../../db/revocation.ts'
import { revocationFeedStaleMs } from '../../domain/limits.ts'
import type { ListenerConnection } from '../../gateway/epoch-listener.ts'
import { createEpochs } from '../../gateway/epochs.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { asIntruder, quiet } from './fixture.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.[Symbol.asyncDispose]())

const scope = () => `session:${randomUUID()}`
const revoke = (...scopes: string[]) => revokeScopes(database.pool, { scopes, reason: 'test', by: 'test' })
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function until(condition: () => boolean, withinMs: number): Promise<number> {
  const startedAt = performance.now()
  while (!condition()) {
    if (performance.now() - startedAt > withinMs) throw new Error(`Nothing happened within ${withinMs} ms.`)
    await pause(2)
  }
  return performance.now() - startedAt
}

/** A listener that connects and never hears anything. */
const deaf = (): ListenerConnection => ({
  connect: async () => undefined,
  query: async () => undefined,
  end: async () => undefined,
  on: () => undefined,
})

const open = (options: { pool?: Queryable; listener?: () => ListenerConnection } = {}) =>
  createEpochs({ pool: database.pool, listener: () => createListener(database.url), log: quiet, ...options })

test('does not start without having read the set once', async () => {
  const pool = { query: () => Promise.reject(new Error('down')) } as unknown as Queryable
  await expect(open({ pool })).rejects.toThrow('down')
})

test('knows what was revoked before it started, over many pages', async () => {
  const old = scope()
  await revoke(old)
  await revoke(old)
  await database.pool.query("UPDATE revocation_epoch SET at = now() - interval '1 day' WHERE scope = $1", [old])
  const fill = `INSERT INTO revocation_epoch (scope, epoch, seq, reason, revoked_by, at)
    SELECT 'token:' || n, 1, n, 'fill', 'test', now() - interval '1 day' FROM generate_series(1, 12000) n`
  await database.pool.query(fill)
  await using epochs = await open()
  expect(epochs.isFresh()).toBe(true)
  expect(epochs.epochOf(old)).toBe(2)
  expect(epochs.epochOf('token:12000')).toBe(1)
  expect(epochs.epochOf('token:0')).toBe(0)
})

test('hears of a revocation at once and aborts what runs under the scope', async () => {
  await using epochs = await open()
  const [hit, other] = [scope(), scope()]
  await pause(200) // until it listens
  const watches = [[hit], [other], [hit, other]].map((scopes) =>
    epochs.watch(scopes.map((name) => ({ scope: name, epoch: 0 }))),
  )
  await revoke(hit)
  const heardMs = await until(() => watches[0]?.signal.aborted === true, 400)
  expect(watches.map(({ signal }) => signal.aborted)).toEqual([true, false, true])
  expect(watches[0]?.signal.reason).toMatchObject({ code: 'revoked', message: `${hit} was revoked.` })
  expect(heardMs).toBeLessThan(400) // the poll alone takes up to 500
  expect(epochs.watch([{ scope: hit, epoch: 0 }]).signal.aborted).toBe(true)
  expect(epochs.watch([{ scope: hit, epoch: 1 }]).signal.aborted).toBe(false)
})

test('hears of it by polling when the notification is lost', async () => {
  await using epochs = await open({ listener: deaf })
  const hit = scope()
  const watch = epochs.watch([{ scope: hit, epoch: 0 }])
  await revoke(hit)
  await until(() => watch.signal.aborted, 1_000)
  expect(epochs.epochOf(hit)).toBe(1)
})

test('a released watch hears nothing more', async () => {
  await using epochs = await open()
  const hit = scope()
  const watch = epochs.watch([{ scope: hit, epoch: 0 }])
  watch.release()
  await revoke(hit)
  await epochs.refresh()
  expect(epochs.epochOf(hit)).toBe(1)
  expect(watch.signal.aborted).toBe(false)
})

test('an older event never un-revokes, and nonsense is not heard', async () => {
  await using epochs = await open()
  await pause(200) // until it listens
  const hit = scope()
  await revoke(hit)
  await revoke(hit)
  await epochs.refresh()
  for (const payload of [
    JSON.stringify({ scope: hit, epoch: 1 }),
    '{',
    '7',
    '{"scope":1}',
    JSON.stringify({ scope: hit }),
  ]) {
    await database.pool.query('SELECT pg_notify($1, $2)', ['revocation', payload])
  }
  await pause(100)
  expect(epochs.epochOf(hit)).toBe(2)
})

test('goes stale within its bound when the database does not answer, and recovers whole', async () => {
  let down = false
  const query = (...given: Parameters<Queryable['query']>) => {
    if (down) return Promise.reject(new Error('down'))
    return database.pool.query(...given)
  }
  await using epochs = await open({ pool: { query } as unknown as Queryable, listener: deaf })
  down = true
  const hit = scope()
  await revoke(hit)
  await until(() => !epochs.isFresh(), revocationFeedStaleMs + 200)
  await expect(epochs.refresh()).rejects.toThrow('down')
  expect(epochs.epochOf(hit)).toBe(0)
  down = false
  await until(() => epochs.isFresh(), 1_000)
  expect(epochs.epochOf(hit)).toBe(1)
})

test('after a lost connection it listens again and reads what it may have missed', async () => {
  await using epochs = await open()
  await pause(200)
  const hit = scope()
  const cut =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatehouse-listen' AND datname = current_database()"
  await asIntruder(database, cut)
  await revoke(hit)
  // Too old for the polls: only the whole set tells.
  await database.pool.query("UPDATE revocation_epoch SET at = now() - interval '1 hour' WHERE scope = $1", [hit])
  await until(() => epochs.epochOf(hit) === 1, 3_000)
  const next = scope()
  await pause(700)
  const watch = epochs.watch([{ scope: next, epoch: 0 }])
  await revoke(next)
  await until(() => watch.signal.aborted, 400)
  expect(epochs.isFresh()).toBe(true)
})
