// What must be true of the database and the Temporal cluster before anything else starts; a second run changes nothing.
import type { Config } from '../config/load.ts'
import { migrate } from '../db/migrate.ts'
import { lookAtDatabase } from './database-check.ts'
import { readTemporalSettings } from './files.ts'
import { applyTemporalSettings } from './temporal-settings.ts'

export type PrepareOptions = {
  readonly databaseUrl: string
  /** Absent: the cluster is left as it is. */
  readonly temporal: { readonly address: string; readonly namespace: string } | undefined
  readonly environment: Config['environment']
  readonly say: (line: string) => void
}

/** Applies migrations and `temporal.yaml`, and says what was changed. Throws on a database not fit for money. */
export async function prepare({ databaseUrl, temporal, environment, say }: PrepareOptions): Promise<void> {
  for (const { says, mend, fatal } of (await lookAtDatabase(databaseUrl)).faults) {
    if (fatal || environment === 'production') throw new Error(`The database is not usable: ${says}; ${mend}.`)
    say(`Take care: ${says}; ${mend}.`)
  }
  const migrations = await migrate(databaseUrl)
  say(migrations.length === 0 ? 'The database is up to date.' : `Applied ${migrations.join(', ')}.`)
  if (!temporal) {
    say('TEMPORAL_ADDRESS is not set: temporal.yaml was not applied.')
    return
  }
  const changes = await applyTemporalSettings({ ...temporal, settings: await readTemporalSettings() })
  for (const change of changes) say(`Temporal: ${change}.`)
  if (changes.length === 0) say('Temporal is up to date.')
}
