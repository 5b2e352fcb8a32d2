// `npm run keys -- list` shows the installation's signing keys; `npm run keys -- rotate audit | access-token` makes a new
// active one; `rotate transcript` wraps the keys of all sessions anew under a new version of the transcript key. The key before it signs no more within half a minute, in every process, and verifies for good. The database
// is `DATABASE_URL` or that of the running installation; the master key is that of the installation.
import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { loadConfig, type Config } from '../config/load.ts'
import { createSeal } from '../crypto/seal.ts'
import { createPool, type Pool } from '../db/pool.ts'
import { listSigningKeys, type KeyPurpose } from '../db/signing-key.ts'
import { createSigningKeys } from '../gateway/signing-keys.ts'
import { readRunFile } from './local/run-file.ts'
import { loadMasterKey } from './master-key.ts'
import { rotateTranscriptKey } from './transcript-keys.ts'

const say = (line: string) => void process.stdout.write(`${line}\n`)
const purposes: readonly string[] = ['audit', 'access-token'] satisfies KeyPurpose[]

async function list(pool: Pool): Promise<void> {
  for (const { kid, purpose, state } of await listSigningKeys(pool)) say(`${purpose} ${kid} ${state}`)
}

// Opens every key first: with another master key nothing could open the new one, and nothing is made.
async function rotate(pool: Pool, { config, purpose }: { config: Config; purpose: KeyPurpose }): Promise<void> {
  const seal = createSeal(await loadMasterKey(config))
  const keys = await createSigningKeys({ pool, seal, clock: () => new Date() })
  const before = keys.active(purpose).kid
  say(`${purpose}: ${await keys.rotate(purpose, userInfo().username)} signs instead of ${before}.`)
}

async function rotateTranscript(pool: Pool, config: Config): Promise<void> {
  const seal = createSeal(await loadMasterKey(config))
  const { version, rewrapped, locked } = await rotateTranscriptKey(pool, config, seal)
  say(`transcript: version ${version} wraps ${rewrapped} session keys.`)
  if (locked > 0)
    throw new Error(`${locked} session keys were wrapped under a key that is not here; they are left alone.`)
}

const [order, purpose = ''] = process.argv.slice(2)
const given = loadConfig(process.env)
const config = { ...given, stateDir: resolve(given.stateDir) }
const url = config.secrets.databaseUrl?.reveal() ?? (await readRunFile(config.stateDir))?.databaseUrl
if (order !== 'list' && !(order === 'rotate' && (purposes.includes(purpose) || purpose === 'transcript'))) {
  process.stderr.write('Usage: npm run keys -- list | rotate audit | rotate access-token | rotate transcript\n')
  process.exitCode = 2
} else if (url === undefined) {
  process.stderr.write('There is no database: start Gatehouse with `npm start`, or set DATABASE_URL.\n')
  process.exitCode = 1
} else {
  const pool = createPool({ url, connectionsMax: 2, applicationName: 'gatehouse-keys' })
  try {
    if (order === 'list') await list(pool)
    else if (purpose === 'transcript') await rotateTranscript(pool, config)
    else await rotate(pool, { config, purpose: purpose as KeyPurpose })
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  } finally {
    await pool.end()
  }
}
