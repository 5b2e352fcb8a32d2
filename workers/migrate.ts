// `npm run migrate`: brings the database to the newest schema and the Temporal cluster to `temporal.yaml`.
import { loadConfig } from '../config/load.ts'
import { prepare } from './prepare.ts'

const config = loadConfig(process.env)
const databaseUrl = (config.secrets.databaseOwnerUrl ?? config.secrets.databaseUrl)?.reveal()
if (databaseUrl === undefined) throw new Error('DATABASE_URL is not set.')
const { address, namespace } = config.temporal
const temporal = address === undefined ? undefined : { address, namespace }
await prepare({ databaseUrl, temporal, say: (line) => void process.stdout.write(`${line}\n`) })
