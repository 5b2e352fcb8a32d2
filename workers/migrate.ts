// Brings the database to the newest schema and the Temporal cluster to `temporal.yaml`; a second run changes nothing.
import { loadConfig } from '../config/load.ts'
import { migrate } from '../db/migrate.ts'
import { readTemporalSettings } from './files.ts'
import { applyTemporalSettings } from './temporal-settings.ts'

const config = loadConfig(process.env)
const url = config.secrets.databaseUrl?.reveal()
if (url === undefined) throw new Error('DATABASE_URL is not set.')
const say = (line: string) => void process.stdout.write(`${line}\n`)

const migrations = await migrate(url)
say(migrations.length === 0 ? 'The database is up to date.' : `Applied ${migrations.join(', ')}.`)

const { address, namespace } = config.temporal
if (address === undefined) {
  say('TEMPORAL_ADDRESS is not set: temporal.yaml was not applied.')
} else {
  const changes = await applyTemporalSettings({ address, namespace, settings: await readTemporalSettings() })
  for (const change of changes) say(`Temporal: ${change}.`)
  if (changes.length === 0) say('Temporal is up to date.')
}
