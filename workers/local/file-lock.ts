// A lock between processes, kept in a folder. Its newest entry names the owner and when that process began, so that a
// number which the system gave to another process since is not taken for the owner. A lock of a process that is gone is
// taken over by adding the next entry, never by removing the old one first: of many that see it only one can add it.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive } from './postgres.ts'

export type Mark = { readonly pid: number; readonly mark: string | null }

/** Start time of a process in the system's own ticks; undefined when it does not exist or the system does not tell. */
function startMark(pid: number): string | undefined {
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

/** Takes the lock for this process, or says who has it. An entry appears whole: it is linked into place. */
export async function tryLock(folder: string): Promise<Taken> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const draft = join(folder, `.${process.pid}-${randomBytes(4).toString('hex')}`)
  await writeFile(draft, JSON.stringify(markOf(process.pid)), { mode: 0o600 })
  try {
    for (;;) {
      const newest = await newestOf(folder)
      const owner = await livingOwner(folder, newest)
      if (owner) return { kind: 'theirs', owner }
      const mine = join(folder, String(newest + 1))
      if (!(await linked(draft, mine))) continue
      // Whoever looked long ago may have added an entry below a newer one.
      if ((await newestOf(folder)) === newest + 1) return await ours(folder, newest + 1)
      await rm(mine, { force: true })
    }
  } finally {
    await rm(draft, { force: true })
  }
}

/** Owner of the lock, if a process that still runs has it. */
export async function ownerOf(folder: string): Promise<Mark | undefined> {
  return livingOwner(folder, await newestOf(folder))
}

async function ours(folder: string, number: number): Promise<Taken> {
  const older = (await numbersIn(folder)).filter((each) => each < number)
  await Promise.all(older.map((each) => rm(join(folder, String(each)), { force: true })))
  return { kind: 'ours', release: () => release(folder, number) }
}

// The entry stays, without an owner: numbers never begin anew, so that nobody who looked before can add one twice.
async function release(folder: string, number: number): Promise<void> {
  const draft = join(folder, `.${process.pid}-released`)
  await writeFile(draft, 'released', { mode: 0o600 })
  await rename(draft, join(folder, String(number)))
}

async function numbersIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.filter((name) => /^\d{1,9}$/.test(name)).map(Number)
}

const newestOf = async (folder: string) => Math.max(0, ...(await numbersIn(folder)))

async function livingOwner(folder: string, number: number): Promise<Mark | undefined> {
  try {
    const { pid, mark } = JSON.parse(await readFile(join(folder, String(number)), 'utf8')) as Mark
    return Number.isInteger(pid) && pid > 1 && isSame({ pid, mark }) ? { pid, mark } : undefined
  } catch {
    return undefined
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}
