// The installation's master key: given, or made once in the state folder (0600). Losing it loses every sealed key.
import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config/load.ts'
import { draftOf, syncFolder, writeSynced } from './local/whole-file.ts'

/** 32 bytes. Two processes that start together agree on one: the file is linked into place only if absent. */
export async function loadMasterKey(config: Config): Promise<Buffer> {
  const given = config.secrets.masterKey?.reveal()
  if (given !== undefined) return Buffer.from(given, 'hex')
  const file = join(config.stateDir, 'master.key')
  const known = await readFile(file, 'utf8').catch(() => undefined)
  if (known !== undefined) return fromText(known)
  await mkdir(config.stateDir, { recursive: true })
  const draft = draftOf(file)
  await writeSynced(draft, `${randomBytes(32).toString('hex')}\n`) // what it seals is on the disk as soon
  await link(draft, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft)
  await syncFolder(config.stateDir)
  return fromText(await readFile(file, 'utf8'))
}

function fromText(text: string): Buffer {
  const key = Buffer.from(text.trim(), 'hex')
  if (key.length !== 32) throw new Error('The master key file does not hold 32 bytes.')
  return key
}
