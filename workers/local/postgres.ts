// Starts the embedded Postgres 18 of a state folder, or adopts the one that a killed parent left behind. Socket only:
// the bundled libraries are old, so no TCP port is ever opened. Not for production.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { dataOf, owner, plainEnvironment, postmasterOf, prepareCluster } from './postgres-cluster.ts'
import { postgresAccount, preparePostgresHome, type PostgresHome } from './postgres-files.ts'
import { isAlive, sleep } from './processes.ts'

export type LocalPostgres = {
  /** Connection URL of the owner of database `gatehouse`. A secret. */
  readonly url: string
  readonly pid: number
  /** True when a server left by a killed parent was taken over. */
  readonly adopted: boolean
  /** Ends it in order (SIGINT: fast shutdown). */
  readonly stop: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

export type PostgresOptions = {
  readonly stateDir: string
  readonly connectionsMax?: number
  /** Tests only: no fsync, nothing survives a power loss. */
  readonly volatile?: boolean
}

const startMs = 30_000
const stopMs = 10_000
const portName = 5_432 // names the socket file; nothing listens on TCP

/** Starts or adopts the server and makes sure that the database exists. */
export async function startPostgres(options: PostgresOptions): Promise<LocalPostgres> {
  const home = await preparePostgresHome(options.stateDir)
  const password = await prepareCluster(home, stopPostgres)
  const url = `postgres://${owner}:${password}@/gatehouse?host=${encodeURIComponent(home.socketDir)}`
  const adopted = await adopt(home, url)
  const pid = adopted ?? (await launch(home, options, url))
  await ensureDatabase(url)
  const stop = () => stopPostgres(pid)
  return { url, pid, adopted: adopted !== undefined, stop, [Symbol.asyncDispose]: stop }
}

// A server of this very data folder that answers our password is ours.
async function adopt(home: PostgresHome, url: string): Promise<number | undefined> {
  const pid = await postmasterOf(home)
  if (pid === undefined) return undefined
  const deadline = performance.now() + startMs
  while (isAlive(pid) && performance.now() < deadline) {
    const folder = await showDataDirectory(url)
    if (folder === dataOf(home)) return pid
    if (folder !== undefined) throw new Error(`Another Postgres serves ${home.socketDir}.`)
    await sleep(50)
  }
  return undefined
}

async function launch(home: PostgresHome, options: PostgresOptions, url: string): Promise<number> {
  const logFile = join(home.folder, 'postgres.log')
  const log = openSync(logFile, 'a', 0o600)
  const settings = {
    listen_addresses: '',
    port: portName,
    unix_socket_directories: home.socketDir,
    unix_socket_permissions: '0777', // the password decides; the folder is closed to others
    max_connections: options.connectionsMax ?? 200,
    shared_buffers: '128MB',
    ...(options.volatile === true
      ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }
      : { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }),
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const child = spawn(join(home.native, 'bin', 'postgres'), ['-D', dataOf(home), ...flags], {
    ...postgresAccount(),
    cwd: '/',
    env: plainEnvironment(),
    detached: true, // a Ctrl-C in the terminal reaches the supervisor only, which stops us in order
    stdio: ['ignore', log, log],
  })
  closeSync(log) // the child has its own
  const failed = new Promise<never>((_resolve, reject) => {
    child.once('error', (error) => reject(new Error(`Postgres cannot be started: ${error.message}`)))
    child.once('exit', (code) => reject(new Error(`Postgres ended at once with ${code}; see ${logFile}.`)))
  })
  failed.catch(() => undefined)
  await Promise.race([failed, answers(url)]).catch((error: unknown) => {
    child.kill('SIGQUIT')
    throw error
  })
  child.removeAllListeners('exit')
  child.unref()
  if (child.pid === undefined) throw new Error('Postgres has no process id.')
  return child.pid
}

async function answers(url: string): Promise<void> {
  const deadline = performance.now() + startMs
  while ((await showDataDirectory(url)) === undefined) {
    if (performance.now() > deadline) throw new Error(`Postgres did not answer within ${startMs} ms.`)
    await sleep(25)
  }
}

async function showDataDirectory(url: string): Promise<string | undefined> {
  const client = new pg.Client({ connectionString: inDatabase(url, 'postgres'), connectionTimeoutMillis: 2_000 })
  try {
    await client.connect()
    return String((await client.query('SHOW data_directory')).rows[0].data_directory)
  } catch {
    return undefined
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: inDatabase(url, 'postgres') })
  await client.connect()
  try {
    const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = 'gatehouse'")
    if (rowCount === 0) await client.query('CREATE DATABASE gatehouse')
  } finally {
    await client.end()
  }
}

/** The same server, another database. */
export function inDatabase(url: string, name: string): string {
  return url.replace(/^(postgres(?:ql)?:\/\/[^/]*\/)[^?]*/, `$1${name}`)
}

/** SIGINT (fast shutdown), and SIGQUIT (immediate; recovers at the next start) when that takes too long. */
async function stopPostgres(pid: number): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!isAlive(pid)) return
    process.kill(pid, signal)
    const deadline = performance.now() + stopMs
    while (isAlive(pid) && performance.now() < deadline) await sleep(10)
  }
}
