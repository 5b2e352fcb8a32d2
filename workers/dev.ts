// `npm run dev`: everything, and what changed is restarted: the API for doors, the workers for durable code, both for
// what they share, each double for itself.
import { toError } from '../domain/errors.ts'
import { root } from './files.ts'
import { followChanges, marksOf } from './local/changes.ts'
import { partFolders, touchedBy, type Part } from './local/parts.ts'
import type { Supervised } from './local/supervisor.ts'
import { runUntilStopped } from './local/until-stopped.ts'

type Say = (line: string) => void

const looked = { root, folders: partFolders }
// Before anything starts: what is saved while the parts start may not be in them.
const since = await marksOf(looked)

async function follow(supervised: Supervised, say: Say): Promise<() => Promise<void>> {
  const restarting = { last: Promise.resolve() }
  const following = followChanges({
    ...looked,
    since,
    onChanged: (paths) => {
      restarting.last = restarting.last
        .then(() => takeIn(paths, supervised, say))
        .catch((error: unknown) => say(toError(error).message))
    },
  })
  return async () => {
    await following.stop()
    await restarting.last
  }
}

async function takeIn(paths: readonly string[], supervised: Supervised, say: Say): Promise<void> {
  const touched = touchedBy(paths)
  if (touched.has('supervisor')) say('Changed: what starts everything. Only a new `npm run dev` takes that in.')
  if (touched.has('database')) {
    const applied = await supervised.migrate()
    say(applied.length === 0 ? 'The database is up to date.' : `Applied ${applied.join(', ')}.`)
  }
  const parts = [...touched].filter((part): part is Part => part !== 'database' && part !== 'supervisor')
  if (parts.length === 0) return
  say(`Changed: ${paths.join(', ')}. Restarting ${parts.join(' and ')}.`)
  await supervised.restart(parts)
}

await runUntilStopped({ replicas: () => ({ api: 1, durable: 1 }), beside: follow })
