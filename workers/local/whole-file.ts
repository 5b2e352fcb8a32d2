// Files that are there whole or not at all, also after a power cut: written beside, forced to the disk, put in place in
// one step. Whoever reads one that is torn all the same gets to know it by its content.
import { randomBytes } from 'node:crypto'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Replaces the file, readable by its owner alone. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const draft = draftOf(path)
  await writeSynced(draft, text)
  await rename(draft, path)
  await syncFolder(dirname(path))
}

/** A name beside the file that nobody else writes to. */
export const draftOf = (path: string): string => `${path}.${randomBytes(4).toString('hex')}.draft`

/** Writes a new file (0600) and waits until the disk has it. Refuses one that is there. */
export async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Waits until the disk knows the folder's entries. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
