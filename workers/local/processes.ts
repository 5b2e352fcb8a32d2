// What the system says about a process: whether it lives, when it began, what it was started with. A number alone says
// little: the system gives it to another process later.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

export type Mark = { readonly pid: number; readonly mark: string | null }

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

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

/** A mark as it was written down; undefined for a file that was torn. */
export function parseMark(text: string): Mark | undefined {
  try {
    const { pid, mark } = JSON.parse(text) as Partial<Mark>
    const isMark = Number.isInteger(pid) && Number(pid) > 1 && (mark === null || typeof mark === 'string')
    return isMark ? { pid: Number(pid), mark } : undefined
  } catch {
    return undefined
  }
}

/** The words a process was started with, as one text; undefined when the system does not tell. */
export async function commandOf(pid: number): Promise<string | undefined> {
  const told = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  if (told !== '') return told.replaceAll('\0', ' ').trim()
  const listed = await promisify(execFile)('ps', ['-o', 'args=', '-p', String(pid)]).catch(() => undefined)
  return listed?.stdout.trim() || undefined
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
