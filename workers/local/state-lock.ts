// One supervisor per state folder. The lock names its owner and when that process began, so that a number which the
// system gave to another process since is not taken for the owner; leftovers are recognised the same way.
import { open, readFile, rm } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive } from './postgres.ts'

/** Start time of a process in the system's own ticks; undefined when it does not exist or the system does not tell. */
export function startMark(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19]
  } catch {
    return undefined
  }
}

export type Mark = { readonly pid: number; readonly mark: string | null }

export const markOf = (pid: number): Mark => ({ pid, mark: startMark(pid) ?? null })

/** Whether the very process that was marked still runs. */
export function isSame({ pid, mark }: Mark): boolean {
  return isAlive(pid) && (mark === null || startMark(pid) === mark)
}

/** Takes the lock or throws an Error that says who has it. */
export async function lockState(stateDir: string): Promise<() => Promise<void>> {
  const file = join(stateDir, 'supervisor.lock')
  for (;;) {
    try {
      const handle = await open(file, 'wx', 0o600)
      await handle.writeFile(JSON.stringify(markOf(process.pid)))
      await handle.close()
      return () => rm(file, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = await readMark(file)
    if (owner && isSame(owner)) {
      throw new Error(
        `Gatehouse already runs with this state folder (process ${owner.pid}). Stop it first, or set GATEHOUSE_STATE_DIR.`,
      )
    }
    await rm(file, { force: true })
  }
}

async function readMark(file: string): Promise<Mark | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Mark
  } catch {
    return undefined
  }
}
