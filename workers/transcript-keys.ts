// The installation's transcript key, version by version, in the state folder (0600): the newest wraps the keys of new
// sessions, the older ones still open what was wrapped before and in backups. Losing the file loses every transcript.
// Where the master key is given from outside, version 0 is derived from it, and hosts need no common folder.
import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config/load.ts'
import { unwrapSessionKey, wrapSessionKey } from '../crypto/content-seal.ts'
import type { Seal } from '../crypto/seal.ts'
import type { Pool } from '../db/pool.ts'
import { keysOfOtherVersions, lockRotation, newestVersion, rewrapSessionKey } from '../db/session-key.ts'
import { inTransaction } from '../db/transaction.ts'
import { sessionKeysPerRewrap } from '../domain/limits.ts'
import type { KeyRing } from '../gateway/ports.ts'
import { draftOf, syncFolder, writeSynced, writeWhole } from './local/whole-file.ts'

type Keys = ReadonlyMap<number, Buffer>

const fileOf = ({ stateDir }: Pick<Config, 'stateDir'>) => join(stateDir, 'transcript.keys')

/** Makes the file when there is none. Read anew for every key that is wrapped, so that a rotation counts at once. */
export async function openTranscriptKeys(config: Config, seal: Pick<Seal, 'derive'>): Promise<KeyRing> {
  const file = fileOf(config)
  const isGiven = config.secrets.masterKey !== undefined
  if (!isGiven) await makeFirst(config)
  const derived = seal.derive('transcript')
  let known: Keys = await readKeys(file)
  return {
    async active() {
      if (isGiven) return { version: 0, key: derived }
      known = await readKeys(file)
      return newest(known)
    },
    async of(version) {
      if (version === 0) return derived
      if (!known.has(version)) known = await readKeys(file)
      return known.get(version)
    },
  }
}

function newest(keys: Keys): { version: number; key: Buffer } {
  const version = Math.max(...keys.keys())
  const key = keys.get(version)
  if (!key) throw new Error('The transcript key file holds no key.')
  return { version, key }
}

// Two processes that start together agree on one: the file is linked into place only if absent.
async function makeFirst(config: Config): Promise<void> {
  const file = fileOf(config)
  if (await stat(file).catch(() => undefined)) return
  await mkdir(config.stateDir, { recursive: true })
  const draft = draftOf(file)
  await writeSynced(draft, textOf(new Map([[1, randomBytes(32)]])))
  await link(draft, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft)
  await syncFolder(config.stateDir)
}

const textOf = (keys: Keys) => [...keys].map(([version, key]) => `${version} ${key.toString('hex')}\n`).join('')

async function readKeys(file: string): Promise<Keys> {
  const facts = await stat(file).catch(() => undefined)
  if (!facts) return new Map()
  if ((facts.mode & 0o077) !== 0) throw new Error('The transcript key file may be read by others: chmod 600 it.')
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
  return new Map(lines.map(keyOfLine))
}

function keyOfLine(line: string): readonly [number, Buffer] {
  const [, version, hex] = /^([1-9]\d{0,8}) ([0-9a-f]{64})$/.exec(line) ?? []
  if (version === undefined || hex === undefined) throw new Error('A line of the transcript key file is not a key.')
  return [Number(version), Buffer.from(hex, 'hex')]
}

export type Rotation = { readonly version: number; readonly rewrapped: number; readonly locked: number }

/**
 * Adds a version and wraps every session key anew under it. Transcripts themselves stay as they are. A rotation that
 * was broken off is finished by the next one. `locked`: keys that no version here opens; they are left alone.
 */
export async function rotateTranscriptKey(pool: Pool, config: Config, seal: Pick<Seal, 'derive'>): Promise<Rotation> {
  if (config.secrets.masterKey !== undefined)
    throw new Error('The master key is given by GATEHOUSE_MASTER_KEY; the transcript key derives from it.')
  await makeFirst(config)
  return inTransaction(pool, async (client) => {
    await lockRotation(client)
    const before = await readKeys(fileOf(config))
    // Above what the database names too: a file that was lost and made anew must not give a number a second key.
    const version = Math.max(newest(before).version, await newestVersion(client)) + 1
    const key = randomBytes(32)
    const keys = new Map([...before, [version, key] as const])
    await writeWhole(fileOf(config), textOf(keys)) // on the disk before anything is wrapped under it
    return rewrapAll(pool, { wrapping: { version, key }, keys: new Map([...keys, [0, seal.derive('transcript')]]) })
  })
}

type Rewrapping = { readonly wrapping: { readonly version: number; readonly key: Buffer }; readonly keys: Keys }

async function rewrapAll(pool: Pool, { wrapping, keys }: Rewrapping): Promise<Rotation> {
  const { version } = wrapping
  const counts = { rewrapped: 0, locked: 0 }
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const rows = await keysOfOtherVersions(pool, { version, after, limit: sessionKeysPerRewrap })
    for (const row of rows) {
      const clear = unwrapped(keys, row)
      if (!clear) counts.locked += 1
      else if (
        await rewrapSessionKey(pool, row, { ...row, version, wrapped: wrapSessionKey(wrapping, row.sessionId, clear) })
      )
        counts.rewrapped += 1
    }
    const last = rows.at(-1)
    if (!last || rows.length < sessionKeysPerRewrap) return { version, ...counts }
    after = last.sessionId
  }
}

type Row = { readonly sessionId: string; readonly version: number; readonly wrapped: Buffer }

function unwrapped(keys: Keys, { sessionId, version, wrapped }: Row): Buffer | undefined {
  const key = keys.get(version)
  try {
    return key && unwrapSessionKey({ version, key }, sessionId, wrapped)
  } catch {
    return undefined
  }
}
