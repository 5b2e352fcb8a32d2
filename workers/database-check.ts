// Whether a database that somebody gave us can be trusted with money: new enough, nothing acknowledged that a power loss
// takes back, and a clock that agrees with ours.
import pg from 'pg'
import { clockSkewSecondsMax } from '../domain/limits.ts'

export type DatabaseFacts = {
  readonly major: number
  /** What is wrong, with what mends it. */
  readonly faults: readonly DatabaseFault[]
}

export type DatabaseFault = {
  readonly says: string
  readonly mend: string
  /** Refused everywhere; the others are refused in production and said in development. */
  readonly fatal: boolean
}

const majorMin = 15
const connectMs = 5_000

/** Asks the database. Throws what the driver throws when it does not answer. */
export async function lookAtDatabase(url: string): Promise<DatabaseFacts> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectMs })
  try {
    await client.connect()
    const { rows } = await client.query(
      `SELECT current_setting('server_version_num')::int AS version, current_setting('fsync') AS fsync,
         current_setting('synchronous_commit') AS commits, extract(epoch FROM clock_timestamp())::float8 AS seconds`,
    )
    return judge(rows[0] as Asked, Date.now() / 1000)
  } finally {
    await client.end().catch(() => undefined)
  }
}

type Asked = { readonly version: number; readonly fsync: string; readonly commits: string; readonly seconds: number }

/** What the answers mean at `nowSeconds`. */
export function judge({ version, fsync, commits, seconds }: Asked, nowSeconds: number): DatabaseFacts {
  const major = Math.floor(version / 10_000)
  const faults: DatabaseFault[] = []
  if (major < majorMin) faults.push({ says: `Postgres ${major}`, mend: 'use Postgres 15 or newer', fatal: true })
  if (fsync !== 'on')
    faults.push({ says: 'fsync is off', mend: 'switch fsync on: money must survive a power loss', fatal: false })
  if (commits === 'off')
    faults.push({
      says: 'synchronous_commit is off',
      mend: 'switch synchronous_commit on: an acknowledged charge must survive a crash',
      fatal: false,
    })
  const skewSeconds = Math.round(seconds - nowSeconds)
  if (Math.abs(skewSeconds) > clockSkewSecondsMax)
    faults.push({
      says: `the clock of the database is ${Math.abs(skewSeconds)} s ${skewSeconds > 0 ? 'ahead' : 'behind'}`,
      mend: 'let both machines follow a time server',
      fatal: false,
    })
  return { major, faults }
}
