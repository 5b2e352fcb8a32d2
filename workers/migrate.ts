// Brings the database to the newest schema; a second run changes nothing.
import { loadConfig } from '../config/load.ts'
import { migrate } from '../db/migrate.ts'

const config = loadConfig(process.env)
const url = config.secrets.databaseUrl?.reveal()
if (url === undefined) throw new Error('DATABASE_URL is not set.')
const applied = await migrate(url)
process.stdout.write(applied.length === 0 ? 'The database is up to date.\n' : `Applied ${applied.join(', ')}.\n`)
