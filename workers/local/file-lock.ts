// A lock that is a file. It names its owner and when that process began, so that a number which the system gave to another
// process since is not taken for the owner; a lock of a process that is gone is taken over.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { isAlive } from './postgres.ts'

export type Mark = { readonly pid: number; readonly mark: string | null }

/** Start time of a process in the system's own ticks; undefined when it does not exist or the system does not tell. */
export function startMark(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19]
  } catch {
    return undefined
  }
}

export const markOf = (pid: number): Mark => ({ pid, mark: startMark(pid) ?? null })

/** Whether the very process that was marked still runs. */
export function isSame({ pid, mark }: Mark): boolean {
  return isAlive(pid) && (mark === null || startMark(pid) === mark)
}

export type Taken =
  | { readonly kind: 'ours'; readonly release: () => Promise<void> }
  | { readonly kind: 'theirs'; readonly owner: Mark }

/** Takes the lock for this process, or says who has it. The file appears whole: it is linked into place. */
export async function tryLock(file: string): Promise<Taken> {
  const draft = `${file}.${process.pid}-${randomBytes(4).toString('hex')}`
  await writeFile(draft, JSON.stringify(markOf(process.pid)), { mode: 0o600 })
  try {
    for (;;) {
      if (await linked(draft, file)) return { kind: 'ours', release: () => rm(file, { force: true }) }
      const owner = await readMark(file)
      if (owner && isSame(owner)) return { kind: 'theirs', owner }
      await takeAway(file, `${draft}.stale`)
    }
  } finally {
    await rm(draft, { force: true })
  }
}

/** Owner of the lock, if a process that still runs has it. */
export async function ownerOf(file: string): Promise<Mark | undefined> {
  const owner = await readMark(file)
  return owner && isSame(owner) ? owner : undefined
}

// Moved before it is removed: of two that saw the same stale lock only one moves it, and a lock that somebody took in
// between is put back.
async function takeAway(file: string, aside: string): Promise<void> {
  if (!(await done(rename(file, aside), 'ENOENT'))) return
  const moved = await readMark(aside)
  if (moved && isSame(moved)) await linked(aside, file)
  await rm(aside, { force: true })
}

const linked = (from: string, to: string) => done(link(from, to), 'EEXIST')

async function done(work: Promise<void>, unlessCode: string): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === unlessCode) return false
    throw error
  }
}

async function readMark(file: string): Promise<Mark | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Mark
  } catch {
    return undefined
  }
}
