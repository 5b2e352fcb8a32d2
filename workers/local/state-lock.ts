// One supervisor per state folder.
import { join } from 'node:path'
import { ownerOf, tryLock } from './file-lock.ts'
import type { Mark } from './processes.ts'

const lockIn = (stateDir: string): string => join(stateDir, 'lock')

/** Takes the lock or throws an Error that says who has it. */
export async function lockState(stateDir: string): Promise<() => Promise<void>> {
  const taken = await tryLock(lockIn(stateDir))
  if (taken.kind === 'ours') return taken.release
  throw new Error(
    `Gatehouse already runs with this state folder (process ${taken.owner.pid}). Stop it first, or set GATEHOUSE_STATE_DIR.`,
  )
}

/** The supervisor that has the folder, if one runs. */
export const stateOwner = (stateDir: string): Promise<Mark | undefined> => ownerOf(lockIn(stateDir))
