// Follows the members files: read at start, looked at several times a second, replaced whole or not at all.
import { readFile, stat } from 'node:fs/promises'
import { membershipOf, parseMembers, type Membership } from '../config/members.ts'
import type { Members } from '../gateway/ports.ts'
import type { Logger } from '../telemetry/log.ts'

const lookMs = 400 // live everywhere within a second, also on a busy machine

/** Members from the files that exist; a missing one is empty, a bad one keeps what was there before. */
export async function followMembers(deps: {
  readonly files: readonly string[]
  readonly log: Logger
}): Promise<Members & AsyncDisposable> {
  let table: ReadonlyMap<string, Membership> = new Map()
  let seen = ''
  let complained = ''
  const look = async (first: boolean) => {
    const marks = await Promise.all(deps.files.map(markOf))
    if (marks.join() === seen) return
    try {
      const texts = await Promise.all(deps.files.map(async (name) => ({ name, text: await textOf(name) })))
      table = parseMembers(texts)
      seen = marks.join()
      deps.log.info({ members: table.size }, 'members loaded')
    } catch (error) {
      if (first) throw error
      if (complained !== marks.join()) deps.log.error({ err: error }, 'the members file is unusable; the old one stays')
      complained = marks.join()
    }
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

// Only a file that is not there is empty; one that cannot be read is a fault, or its members would lose their tenants.
async function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
}

async function markOf(file: string): Promise<string> {
  const facts = await stat(file).catch(() => undefined)
  return facts ? `${facts.mtimeMs}/${facts.ctimeMs}/${facts.size}/${facts.ino}` : 'absent'
}
