// A lock between processes, kept in a folder. Its newest entry names the owner and when that process began, so that a
// number which the system gave to another process since is not taken for the owner. A lock of a process that is gone is
// taken over by adding the next entry, never by removing the old one first: of many that see it only one can add it.
import { randomBytes } from 'node:crypto'
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSame, markOf, parseMark, type Mark } from './processes.ts'

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
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
    throw error
  })
  return names.filter((name) => /^\d{1,9}$/.test(name)).map(Number)
}

const newestOf = async (folder: string) => Math.max(0, ...(await numbersIn(folder)))

async function livingOwner(folder: string, number: number): Promise<Mark | undefined> {
  const text = await readFile(join(folder, String(number)), 'utf8').catch(() => '')
  const mark = parseMark(text)
  return mark && isSame(mark) ? mark : undefined
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
