// Which source files changed, by looking at them several times a second: watching is lost on a file that an editor or git
// replaces in one step.
import { readdir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { sleep } from './processes.ts'

export type FollowOptions = {
  /** Absolute. */
  readonly root: string
  /** Folders below it, looked through whole. */
  readonly folders: readonly string[]
  /** What changes are counted from. */
  readonly since: Marks
  /** Called once when saving has come to rest, with paths from the root. */
  readonly onChanged: (paths: readonly string[]) => void
}

/** How each file looked at one moment. */
export type Marks = ReadonlyMap<string, string>

const lookMs = 300
const followed = /\.(?:ts|mjs|sql|yaml|md)$/

/** Follows the folders until stopped. */
export function followChanges(options: FollowOptions): { readonly stop: () => Promise<void> } {
  const state = { marks: options.since, stopped: false }
  const follow = async () => {
    let changed: readonly string[] = []
    while (!state.stopped) {
      await sleep(lookMs)
      if (state.stopped) return
      const now = await marksOf(options)
      const fresh = differing(state.marks, now)
      state.marks = now
      if (fresh.length > 0) changed = [...new Set([...changed, ...fresh])]
      else if (changed.length > 0) {
        options.onChanged(changed.toSorted())
        changed = []
      }
    }
  }
  const following = follow()
  return {
    async stop() {
      state.stopped = true
      await following
    },
  }
}

/** How the followed files of some folders below an absolute root look now. */
export async function marksOf({ root, folders }: Pick<FollowOptions, 'root' | 'folders'>): Promise<Marks> {
  const found = await Promise.all(folders.map((folder) => filesIn(join(root, folder))))
  const marks = await Promise.all(
    found.flat().map(async (path) => {
      const facts = await stat(path).catch(() => undefined) // gone since it was listed
      return facts ? ([[relative(root, path), `${facts.mtimeMs}/${facts.size}/${facts.ino}`]] as const) : []
    }),
  )
  return new Map(marks.flat())
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile() && followed.test(entry.name) && entry.name !== 'README.md')
    .map((entry) => join(entry.parentPath, entry.name))
}

function differing(before: Marks, after: Marks): string[] {
  const gone = [...before.keys()].filter((path) => !after.has(path))
  return [...[...after].filter(([path, mark]) => before.get(path) !== mark).map(([path]) => path), ...gone]
}
