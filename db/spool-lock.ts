// Who owns a spool: a session lock of Postgres, held on one connection of the process. It ends with the process, or with
// the connection; then whoever asks next owns the spool.
import type { ClientBase } from 'pg'

type LockClient = ClientBase & { connect(): Promise<unknown>; end(): Promise<void> }

export type SpoolLocks = AsyncDisposable & {
  /** Takes the lock of a spool if nobody has it. Throws when the database does not answer. */
  readonly tryLock: (id: string) => Promise<boolean>
  readonly unlock: (id: string) => Promise<void>
  /** Whether this process holds it, as far as it knows. */
  readonly holds: (id: string) => boolean
}

export type LockOptions = {
  /** Makes a connection that nobody else uses. */
  readonly connection: () => LockClient
  /** Called with the ids whose locks ended with the connection. */
  readonly onLost: (ids: readonly string[]) => void
}

/** Connects at the first lock, and again after a loss. */
export function createSpoolLocks({ connection, onLost }: LockOptions): SpoolLocks {
  const held = new Set<string>()
  let connected: Promise<LockClient> | undefined
  const lose = (client: Promise<LockClient> | undefined) => {
    if (connected !== client || client === undefined) return
    connected = undefined
    const ids = [...held]
    held.clear()
    if (ids.length > 0) onLost(ids)
  }
  const connect = (): Promise<LockClient> => {
    if (connected) return connected
    const client = connection()
    const opening = client.connect().then(() => client)
    client.on('error', () => lose(opening))
    client.on('end', () => lose(opening))
    opening.catch(() => lose(opening))
    connected = opening
    return opening
  }
  return {
    holds: (id) => held.has(id),
    async tryLock(id) {
      if (held.has(id)) return true
      const opening = connect()
      const { rows } = await (
        await opening
      ).query<{ ours: boolean }>({
        text: "SELECT pg_try_advisory_lock(hashtextextended('audit-spool/' || $1, 0)) AS ours",
        values: [id],
      })
      if (rows[0]?.ours !== true || connected !== opening) return false
      held.add(id)
      return true
    },
    async unlock(id) {
      if (!held.delete(id)) return
      await (await connect()).query("SELECT pg_advisory_unlock(hashtextextended('audit-spool/' || $1, 0))", [id])
    },
    async [Symbol.asyncDispose]() {
      const closing = connected
      connected = undefined
      held.clear()
      await (await closing?.catch(() => undefined))?.end().catch(() => undefined)
    },
  }
}
