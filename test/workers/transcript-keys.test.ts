// The transcript key of an installation: one file for all its processes, version by version.
import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadConfig, type Config } from '../../config/load.ts'
import { createSeal } from '../../crypto/seal.ts'
import { createTranscripts } from '../../gateway/transcripts.ts'
import { openTranscriptKeys } from '../../workers/transcript-keys.ts'
import { createDoorRig, type DoorRig, type Person } from '../support/door-rig.ts'
import { scrubbedEnvironment } from '../support/installation.ts'

let rig: DoorRig
let person: Person
let stateDir: string
let config: Config
const seal = createSeal(randomBytes(32))
beforeAll(async () => {
  rig = await createDoorRig()
  person = await rig.signIn()
  stateDir = await mkdtemp(join(tmpdir(), 'gatehouse-keys-'))
  config = { ...loadConfig({}), stateDir }
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await rm(stateDir, { recursive: true })
})

const file = () => join(stateDir, 'transcript.keys')
const process_ = async () => createTranscripts({ pool: rig.pool, ring: await openTranscriptKeys(config, seal) })
const command = (args: readonly string[]) =>
  promisify(execFile)(process.execPath, ['--import', 'tsx', 'workers/keys.ts', ...args], {
    env: scrubbedEnvironment({ DATABASE_URL: rig.database.url, GATEHOUSE_STATE_DIR: stateDir }),
  })

test('processes that start together agree on one file, readable by its owner alone', async () => {
  const rings = await Promise.all(Array.from({ length: 5 }, () => openTranscriptKeys(config, seal)))
  const keys = await Promise.all(rings.map(async (ring) => Buffer.from((await ring.active()).key).toString('hex')))
  expect(new Set(keys).size).toBe(1)
  expect((await stat(file())).mode & 0o777).toBe(0o600)
  expect(await readFile(file(), 'utf8')).toBe(`1 ${keys[0]}\n`)
})

test('a rotation wraps every session key anew; old transcripts open in running and in new processes', async () => {
  const running = await process_()
  const session = await rig.openSession(person)
  const place = { turnId: randomUUID(), kind: 'user', step: 0, position: 0 } as const
  const { content } = (await running.ofSession(session.id)).sealMessage(place, [{ type: 'text', text: 'old' }])
  const { stdout } = await command(['rotate', 'transcript'])
  expect(stdout).toBe('transcript: version 2 wraps 1 session keys.\n')
  const { rows } = await rig.database.pool.query('SELECT DISTINCT version FROM session_key')
  expect(rows).toEqual([{ version: 2 }])
  expect((await readFile(file(), 'utf8')).split('\n').map((line) => line.slice(0, 2))).toEqual(['1 ', '2 ', ''])
  running.forget(session.id)
  for (const transcripts of [running, await process_()])
    expect((await transcripts.ofSession(session.id)).openMessage({ ...place, content })).toEqual([
      { type: 'text', text: 'old' },
    ])
  const fresh = await rig.openSession(person)
  await running.ofSession(fresh.id) // the process that was running wraps under the new version
  const versions = await rig.database.pool.query('SELECT version FROM session_key WHERE session_id = $1', [fresh.id])
  expect(versions.rows).toEqual([{ version: 2 }])
}, 20_000)

test('a key that is not here is left alone, and the command says so', async () => {
  const session = await rig.openSession(person)
  await (await process_()).ofSession(session.id)
  const kept = await readFile(file(), 'utf8')
  await writeFile(file(), `1 ${randomBytes(32).toString('hex')}\n`)
  await expect(command(['rotate', 'transcript'])).rejects.toMatchObject({ code: 1, stderr: /left alone/ })
  await writeFile(file(), kept)
  expect(await (await process_()).ofSession(session.id)).toBeDefined()
}, 20_000)

test('refuses a file that others may read, or that holds no keys', async () => {
  const kept = await readFile(file(), 'utf8')
  await chmod(file(), 0o644)
  await expect(openTranscriptKeys(config, seal)).rejects.toThrow('may be read by others')
  await chmod(file(), 0o600)
  await writeFile(file(), '1 00\n')
  await expect(openTranscriptKeys(config, seal)).rejects.toThrow('is not a key')
  await writeFile(file(), kept)
})

test('with a master key from outside, hosts share version 0 and no file', async () => {
  const given = {
    ...loadConfig({ GATEHOUSE_MASTER_KEY: randomBytes(32).toString('hex') }),
    stateDir: join(stateDir, 'none'),
  }
  const rings = await Promise.all([openTranscriptKeys(given, seal), openTranscriptKeys(given, seal)])
  const [one, two] = await Promise.all(rings.map((ring) => ring.active()))
  expect(one).toEqual(two)
  expect(one?.version).toBe(0)
  await expect(stat(given.stateDir)).rejects.toMatchObject({ code: 'ENOENT' })
})
