// `npm run doctor [-- --json]`: what is missing or wrong on this machine, and how to mend it. Changes nothing.
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Connection } from '@temporalio/client'
import { ConfigError, loadConfig, type Config } from '../config/load.ts'
import { toError } from '../domain/errors.ts'
import { lookAtDatabase } from './database-check.ts'
import { readTemporalSettings, root } from './files.ts'
import { isFree } from './local/ports.ts'
import { packagedNative } from './local/postgres-files.ts'
import { readRunFile, type RunFile } from './local/run-file.ts'
import { stateOwner } from './local/state-lock.ts'
import { probeTemporal } from './local/temporal-cli.ts'

type Verdict = { readonly ok: boolean; readonly says: string; readonly mend?: string }
type Check = readonly [name: string, look: () => Promise<Verdict> | Verdict]

const freeBytesMin = 2_000_000_000 // a build of the CLI and a fresh database fit

const good = (says: string): Verdict => ({ ok: true, says })
const bad = (says: string, mend: string): Verdict => ({ ok: false, says, mend })

function checksFor(config: Config, run: RunFile | undefined): readonly Check[] {
  const stateDir = resolve(config.stateDir)
  return [
    ['node', () => good(`Node ${process.versions.node}`)],
    ['packages', checkPackages],
    ['state folder', () => checkState(stateDir)],
    ['disk', () => checkDisk(stateDir)],
    ['supervisor', () => checkSupervisor(stateDir, run)],
    ['port', () => checkPort(config, run)],
    ['temporal', () => checkTemporal(config, run)],
    ['database', () => checkDatabase(config, run)],
    ['model', () => checkModel(config, run)],
    ['api', () => checkApi(run)],
  ]
}

async function checkSupervisor(stateDir: string, run: RunFile | undefined): Promise<Verdict> {
  if (run) return good(`process ${run.pids.supervisor}, since ${run.startedAt}`)
  const owner = await stateOwner(stateDir)
  if (owner) return good(`process ${owner.pid} is starting or stopping`)
  const wasKilled = existsSync(join(stateDir, 'run.json'))
  return good(wasKilled ? 'not running; it was killed (a start mends what is left)' : 'not running')
}

function checkPackages(): Verdict {
  const mark = join(root, 'node_modules', '.gatehouse-lock')
  return existsSync(mark)
    ? good('installed from the lockfile')
    : bad('not installed', 'run any npm script, such as `npm start`')
}

function checkState(stateDir: string): Verdict {
  let folder = stateDir
  while (!existsSync(folder)) folder = dirname(folder)
  try {
    accessSync(folder, constants.W_OK)
    if (!statSync(folder).isDirectory())
      return bad(`${folder} is not a folder`, 'set GATEHOUSE_STATE_DIR to a folder of yours')
    return good(`${stateDir} ${folder === stateDir ? 'is writable' : 'can be made'}`)
  } catch {
    return bad(`${folder} cannot be written`, 'set GATEHOUSE_STATE_DIR to a folder of yours')
  }
}

function checkDisk(stateDir: string): Verdict {
  let folder = stateDir
  while (!existsSync(folder)) folder = dirname(folder)
  const { bavail, bsize } = statfsSync(folder)
  const gigabytes = `${((bavail * bsize) / 1e9).toFixed(1)} GB free`
  return bavail * bsize >= freeBytesMin ? good(gigabytes) : bad(gigabytes, 'free 2 GB, or set GATEHOUSE_STATE_DIR')
}

async function checkPort(config: Config, run: RunFile | undefined): Promise<Verdict> {
  if (run) return good(`serving ${run.api.join(', ')}`)
  return (await isFree(config.port))
    ? good(`${config.port} is free`)
    : good(`${config.port} is busy; the next free one will be taken (GATEHOUSE_PORT moves it)`)
}

async function checkTemporal(config: Config, run: RunFile | undefined): Promise<Verdict> {
  const address = run?.temporalAddress ?? config.temporal.address
  if (address === undefined) {
    const { cli } = await readTemporalSettings()
    const said: string[] = []
    const found = await probeTemporal({
      mode: config.temporal.mode,
      version: cli,
      environment: process.env,
      say: (line) => void said.push(line),
    })
    return found === undefined
      ? bad(
          `no usable CLI. ${said.join(' ')}`.trim(),
          'install Go 1.26.4 or newer, put `temporal` on PATH, or set TEMPORAL_ADDRESS',
        )
      : good(`CLI: ${found}`)
  }
  try {
    const connection = await Connection.connect({ address, connectTimeout: 3_000 })
    await connection.workflowService.describeNamespace({ namespace: config.temporal.namespace })
    await connection.close()
    return good(`${address}, namespace ${config.temporal.namespace}`)
  } catch (error) {
    return bad(
      `${address} does not serve ${config.temporal.namespace}: ${toError(error).message}`,
      'start the cluster, mend TEMPORAL_ADDRESS, or make the namespace with `npm run migrate`',
    )
  }
}

async function checkDatabase(config: Config, run: RunFile | undefined): Promise<Verdict> {
  const url = run?.databaseUrl ?? config.secrets.databaseUrl?.reveal()
  if (url === undefined) {
    packagedNative()
    return good('embedded Postgres is installed')
  }
  try {
    const { major, faults } = await lookAtDatabase(url)
    if (faults.length === 0) return good(`Postgres ${major}, fsync on`)
    return bad(faults.map(({ says }) => says).join('; '), faults.map(({ mend }) => mend).join('; '))
  } catch (error) {
    return bad(
      `the database does not answer: ${toError(error).message}`,
      'start Postgres, mend DATABASE_URL, or unset it to use the embedded one',
    )
  }
}

async function checkModel(config: Config, run: RunFile | undefined): Promise<Verdict> {
  if (config.model.kind === 'anthropic') return good('a provider key is set (not tried)')
  if (!run?.model) return good('scripted, once started')
  const reply = await fetch(`${run.model}/v1/models`, {
    headers: { 'x-api-key': 'doctor' },
    signal: AbortSignal.timeout(3_000),
  })
  return reply.ok
    ? good(`scripted, at ${run.model}`)
    : bad(`the scripted model answers ${reply.status}`, 'look at logs/model.log in the state folder')
}

async function checkApi(run: RunFile | undefined): Promise<Verdict> {
  if (!run) return good('not running')
  const reply = await fetch(`${run.api[0]}/ready`, { signal: AbortSignal.timeout(5_000) })
  const { policy } = reply.ok ? ((await reply.clone().json()) as { policy?: string }) : {}
  if (policy !== undefined && policy !== 'ok')
    return bad(`ready, with older policies (${policy})`, 'logs/api-1.log in the state folder names each fault')
  return reply.ok
    ? good('ready')
    : bad(`not ready: ${await reply.text()}`, 'look at logs/api-1.log in the state folder')
}

async function examine(): Promise<number> {
  const config = loadConfig(process.env)
  const run = await readRunFile(resolve(config.stateDir))
  const results: ({ check: string } & Verdict)[] = []
  for (const [check, look] of checksFor(config, run)) {
    const verdict = await (async () => look())().catch((error: unknown) =>
      bad(toError(error).message, 'see the message'),
    )
    results.push({ check, ...verdict })
  }
  if (process.argv.includes('--json'))
    process.stdout.write(`${JSON.stringify({ ok: results.every((each) => each.ok), checks: results }, null, 2)}\n`)
  else
    for (const { check, ok, says, mend } of results)
      process.stdout.write(
        `${ok ? 'ok  ' : 'FAIL'} ${check.padEnd(13)} ${says}${mend === undefined ? '' : `\n     → ${mend}`}\n`,
      )
  return results.every((each) => each.ok) ? 0 : 1
}

try {
  process.exitCode = await examine()
} catch (error) {
  process.stderr.write(`${toError(error).message}\n`)
  process.exitCode = error instanceof ConfigError ? 78 : 1
}
