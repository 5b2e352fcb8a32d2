// Follows the members files: read at start, looked at twice a second by time and size, replaced whole or not at all.
import { readFile, stat } from 'node:fs/promises'
import { membershipOf, parseMembers, type Membership } from '../config/members.ts'
import type { Members } from '../gateway/ports.ts'
import type { Logger } from '../telemetry/log.ts'

const lookMs = 500

/** Members from the files that exist; a missing one is empty, a bad one keeps what was there before. */
export async function followMembers(deps: {
  readonly files: readonly string[]
  readonly log: Logger
}): Promise<Members & AsyncDisposable> {
  let table: ReadonlyMap<string, Membership> = new Map()
  let seen = ''
  const look = async (first: boolean) => {
    const marks = await Promise.all(deps.files.map(markOf))
    if (marks.join() === seen) return
    try {
      const texts = await Promise.all(
        deps.files.map(async (name) => ({ name, text: await readFile(name, 'utf8').catch(() => '') })),
      )
      table = parseMembers(texts)
      deps.log.info({ members: table.size }, 'members loaded')
    } catch (error) {
      if (first) throw error
      deps.log.error({ err: error }, 'the members file is not usable; the last good one stays')
    }
    seen = marks.join()
  }
  await look(true)
  const timer = setInterval(
    () => void look(false).catch((error: unknown) => deps.log.error({ err: error }, 'members')),
    lookMs,
  )
  timer.unref()
  return {
    of: (wallet) => membershipOf(table, wallet),
    [Symbol.asyncDispose]: async () => clearInterval(timer),
  }
}

async function markOf(file: string): Promise<string> {
  const facts = await stat(file).catch(() => undefined)
  return facts ? `${facts.mtimeMs}/${facts.size}/${facts.ino}` : 'absent'
}
