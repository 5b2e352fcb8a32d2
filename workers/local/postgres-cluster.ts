// The cluster of the embedded Postgres as it lies on the disk: made at the first start, found again whatever a power cut,
// a reboot or a killed start left behind. What is in it is never given up for a file beside it.
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { own, postgresAccount, type PostgresHome } from './postgres-files.ts'
import { commandOf, isAlive } from './processes.ts'
import { draftOf, syncFolder, writeSynced, writeWhole } from './whole-file.ts'

export const owner = 'gateway'
export const dataOf = (home: PostgresHome): string => join(home.folder, 'data')
export const plainEnvironment = () => ({ PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' })

const noProcess = 2_147_483_647 // above what any system gives

/** Finds or makes the cluster; resolves to the owner's password. `quit` ends a server that still runs on it. */
export async function prepareCluster(home: PostgresHome, quit: (pid: number) => Promise<void>): Promise<string> {
  const file = join(home.folder, 'password')
  const known = (await readFile(file, 'utf8').catch(() => '')).trim()
  const exists = existsSync(dataOf(home))
  if (known !== '' && exists) return known
  const password = randomBytes(24).toString('base64url')
  if (!exists) return makeCluster(home, password)
  const running = await postmasterOf(home)
  if (running !== undefined) await quit(running)
  await setPassword(home, password)
  await writeWhole(file, `${password}\n`)
  return password
}

// The data folder gets its name last, when everything else is on the disk: one that was cut off starts over.
async function makeCluster(home: PostgresHome, password: string): Promise<string> {
  const draft = `${dataOf(home)}.draft`
  await rm(draft, { recursive: true, force: true })
  const passwordDraft = draftOf(join(home.socketDir, 'password'))
  await writeSynced(passwordDraft, `${password}\n`)
  await own(passwordDraft)
  await own(home.folder)
  const flags = ['-U', owner, '--auth=scram-sha-256', '--no-locale', '-E', 'UTF8', '--data-checksums']
  try {
    await promisify(execFile)(
      join(home.native, 'bin', 'initdb'),
      ['-D', draft, ...flags, `--pwfile=${passwordDraft}`],
      { ...postgresAccount(), cwd: '/', env: plainEnvironment() },
    )
  } finally {
    await rm(passwordDraft, { force: true })
  }
  await writeWhole(join(home.folder, 'password'), `${password}\n`)
  await rename(draft, dataOf(home))
  await syncFolder(home.folder)
  return password
}

// Without a server: a single process of Postgres on the data folder, which nobody has to sign in to.
async function setPassword(home: PostgresHome, password: string): Promise<void> {
  const child = spawn(join(home.native, 'bin', 'postgres'), ['--single', '-D', dataOf(home), 'postgres'], {
    ...postgresAccount(),
    cwd: '/',
    env: plainEnvironment(),
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(-2_000)))
  child.stdin.on('error', () => undefined) // it ended before it read; its code says so
  child.stdin.end(`ALTER ROLE ${owner} PASSWORD '${password}'\n`)
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0 || said.includes('ERROR:'))
    throw new Error(`The password of ${dataOf(home)} is lost and could not be set anew (${code}):\n${said}`)
}

/**
 * The server that runs on the data folder. A pid file that names a process of somebody else, as after a reboot, is mended:
 * Postgres would take that process for a server of its own and refuse to start.
 */
export async function postmasterOf(home: PostgresHome): Promise<number | undefined> {
  const file = join(dataOf(home), 'postmaster.pid')
  const [first = '', ...rest] = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  const pid = Number(first)
  if (!Number.isInteger(pid) || pid <= 1 || !isAlive(pid)) return undefined
  const command = await commandOf(pid)
  if (command === undefined || command.includes(`-D ${dataOf(home)}`)) return pid
  // The other lines stay: by them Postgres sees whether children of the server that wrote them still run.
  await writeWhole(file, [noProcess, ...rest].join('\n'))
  await chmod(file, 0o600)
  await own(file)
  return undefined
}
