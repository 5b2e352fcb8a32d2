// The token bus over a real Postgres, with two buses standing for two processes.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createListener } from '../../db/pool.ts'
import { dropClosedStreams, reopenStream, storableJson } from '../../db/stream.ts'
import { takePayload } from '../../db/stream-feed.ts'
import { createTokenBus, type PostgresTokenBus } from '../../db/token-bus.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let writer: PostgresTokenBus
let reader: PostgresTokenBus
const faults: Error[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  writer = busOf('writer')
  reader = busOf('reader')
})

afterAll(async () => {
  await writer[Symbol.asyncDispose]()
  await reader[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

function busOf(name: string): PostgresTokenBus {
  const listener = () => createListener(database.url, name)
  return createTokenBus({ pool: database.pool, listener, onFault: (error) => faults.push(error) })
}

const until = async (holds: () => boolean | Promise<boolean>, ms = 5_000) => {
  const deadline = Date.now() + ms
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('It did not come true in time.')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('an append with an old fence is refused and writes nothing', async () => {
  expect(await writer.append({ streamId: 'fenced', kind: 'delta', body: 'new', fence: 5n })).toBe(true)
  expect(await writer.append({ streamId: 'fenced', kind: 'delta', body: 'old', fence: 4n })).toBe(false)
  expect(await writer.append({ streamId: 'fenced', kind: 'status', body: {} })).toBe(true)
  expect((await writer.read('fenced', 0n, 10)).map((chunk) => chunk.body)).toEqual(['new', {}])
})

test('appends of different fences in one turn of the event loop are judged one by one', async () => {
  const streamId = 'fences'
  const taken = await Promise.all(
    [7n, 6n, 7n, 8n].map((fence) => writer.append({ streamId, kind: 'delta', body: fence.toString(), fence })),
  )
  expect(taken).toEqual([true, false, true, true])
  expect((await writer.read(streamId, 0n, 10)).map((chunk) => chunk.body)).toEqual(['7', '7', '8'])
})

test('a closed stream takes nothing more', async () => {
  await writer.append({ streamId: 'closed', kind: 'delta', body: 'last' })
  await writer.close('closed')
  expect(await writer.append({ streamId: 'closed', kind: 'delta', body: 'late' })).toBe(false)
  expect(await writer.read('closed', 0n, 10)).toHaveLength(1)
})

test('NUL and lone surrogates are stored as replacement characters, and neighbours are not disturbed', async () => {
  const bodies = ['a\u0000b', '\ud800', 'C:\\u0000', '😀']
  await Promise.all(bodies.map((body) => writer.append({ streamId: 'text', kind: 'delta', body })))
  expect((await writer.read('text', 0n, 10)).map((chunk) => chunk.body)).toEqual([
    'a\ufffdb',
    '\ufffd',
    'C:\\u0000',
    '😀',
  ])
  expect(storableJson(undefined)).toBe('null')
})

test('many streams written at once keep the order of each, without gaps', async () => {
  const ids = Array.from({ length: 20 }, (_, index) => `many:${index}`)
  const events = Array.from({ length: 50 }, (_, index) =>
    ids.map((streamId) => ({ streamId, kind: 'delta', body: index })),
  )
  await Promise.all(events.flat().map((event) => writer.append(event)))
  for (const streamId of ids) {
    const chunks = await reader.read(streamId, 0n, 100)
    expect(chunks.map((chunk) => chunk.body)).toEqual(Array.from({ length: 50 }, (_, index) => index))
    expect(chunks.map((chunk) => chunk.seq)).toEqual(Array.from({ length: 50 }, (_, index) => BigInt(index + 1)))
  }
})

test('reading goes on after a seq, within its limit', async () => {
  const read = async (after: bigint, limit: number) =>
    (await reader.read('many:3', after, limit)).map((chunk) => chunk.seq)
  expect(await read(48n, 10)).toEqual([49n, 50n])
  expect(await read(0n, 3)).toEqual([1n, 2n, 3n])
  expect(await read(50n, 10)).toEqual([])
  expect(await reader.read('nowhere', 0n, 10)).toEqual([])
})

test('another process is woken by a notification, well before it would poll', async () => {
  const streamId = 'woken'
  let woken = 0
  const leave = reader.subscribe(streamId, () => (woken += 1))
  await until(() => listening('reader'))
  const startedAt = performance.now()
  await writer.append({ streamId, kind: 'delta', body: 'hello' })
  await until(() => woken > 0)
  expect(performance.now() - startedAt).toBeLessThan(800)
  leave()
  const before = woken
  await writer.append({ streamId, kind: 'delta', body: 'unheard' })
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(woken).toBe(before)
})

test('a notification that never came is made up for by polling', async () => {
  const streamId = 'silent'
  let woken = 0
  const leave = reader.subscribe(streamId, () => (woken += 1))
  await database.pool.query(
    "SELECT * FROM stream_append(ARRAY['silent'], ARRAY[NULL]::bigint[], ARRAY['delta'], ARRAY['1']::jsonb[])",
  )
  await until(() => woken > 0)
  expect(woken).toBe(1)
  leave()
})

test('after its line was cut, a process listens again and looks at once', async () => {
  const streamId = 'cut'
  let woken = 0
  const leave = reader.subscribe(streamId, () => (woken += 1))
  await until(() => listening('reader'))
  await asOwner("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reader'")
  await until(() => listening('reader'))
  const before = woken
  await writer.append({ streamId, kind: 'delta', body: 'again' })
  await until(() => woken > before)
  expect(faults.length).toBeGreaterThan(0)
  leave()
})

test('notifications are rare, whatever is written', async () => {
  const heard: string[] = []
  const ear = createListener(database.url, 'ear')
  await ear.connect()
  ear.on('notification', ({ payload }) => heard.push(payload ?? ''))
  await ear.query('LISTEN stream')
  const startedAt = performance.now()
  for (let index = 0; index < 200; index += 1) {
    await writer.append({ streamId: `rare:${index % 10}`, kind: 'delta', body: index })
  }
  const seconds = (performance.now() - startedAt) / 1000
  await until(() => heard.join(' ').includes('rare:9:20'))
  expect(heard.length).toBeLessThanOrEqual(Math.ceil(seconds * 20) + 2)
  await ear.end()
})

test('a notification holds as many streams as fit, and the others come next', () => {
  const advanced = new Map(
    Array.from({ length: 500 }, (_, index) => [`turn:${'x'.repeat(40)}:${index}`, BigInt(index)]),
  )
  const first = takePayload(advanced)
  expect(Buffer.byteLength(first)).toBeLessThan(8_000)
  expect(advanced.size).toBeGreaterThan(0)
  const second = takePayload(advanced)
  expect(first.split(' ')).not.toContain(second.split(' ')[0])
})

test('closed streams are dropped after their time, open ones never', async () => {
  await writer.append({ streamId: 'old', kind: 'delta', body: 1 })
  await writer.append({ streamId: 'open', kind: 'delta', body: 1 })
  await writer.close('old')
  expect(await dropClosedStreams(database.pool, 60_000)).toBe(0)
  expect(await dropClosedStreams(database.pool, -1)).toBeGreaterThan(0)
  expect(await writer.read('old', 0n, 10)).toEqual([])
  expect(await writer.read('open', 0n, 10)).toHaveLength(1)
})

test('a stream opened again forgets the failed try and goes on counting', async () => {
  await writer.append({ streamId: 'again', kind: 'turn_failed', body: {} })
  await writer.close('again')
  await reopenStream(database.pool, 'again', 2n)
  expect(await writer.append({ streamId: 'again', kind: 'delta', body: 'late', fence: 1n })).toBe(false)
  expect(await writer.append({ streamId: 'again', kind: 'delta', body: 'second' })).toBe(true)
  expect((await writer.read('again', 0n, 10)).map(({ seq, body }) => [seq, body])).toEqual([[2n, 'second']])
})

async function listening(name: string): Promise<boolean> {
  const rows = await asOwner(
    `SELECT 1 FROM pg_stat_activity WHERE application_name = '${name}' AND query LIKE 'LISTEN%' AND state = 'idle'`,
  )
  return rows.length > 0
}

async function asOwner(sql: string): Promise<unknown[]> {
  const client = createListener(database.url, 'owner')
  await client.connect()
  try {
    await client.query('RESET role')
    return (await client.query('SET ROLE NONE').then(() => client.query(sql))).rows
  } finally {
    await client.end()
  }
}
