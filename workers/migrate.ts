// `npm run migrate`: brings the database to the newest schema and the Temporal cluster to `temporal.yaml`.
import { ConfigError, loadConfig } from '../config/load.ts'
import { toError } from '../domain/errors.ts'
import { prepare } from './prepare.ts'

async function main(): Promise<void> {
  const { secrets, temporal, environment } = loadConfig(process.env)
  const databaseUrl = (secrets.databaseOwnerUrl ?? secrets.databaseUrl)?.reveal()
  if (databaseUrl === undefined)
    throw new ConfigError(['DATABASE_URL: is not set; the embedded database is migrated at each start'])
  const { address, namespace } = temporal
  const cluster = address === undefined ? undefined : { address, namespace }
  await prepare({
    databaseUrl,
    temporal: cluster,
    environment,
    say: (line) => void process.stdout.write(`${line}\n`),
  })
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${toError(error).message}\n`)
  process.exitCode = error instanceof ConfigError ? 78 : 1
}
