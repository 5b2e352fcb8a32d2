// Runs a whole installation on one machine: Postgres, Temporal, migrations, the shown doubles, durable workers, APIs; in
// this order up, in the reverse order down.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Config } from '../../config/load.ts'
import { parseTemporalSettings, type TemporalSettings } from '../../config/temporal.ts'
import { startChild, type ManagedChild } from './child.ts'
import { prepareDemo } from './demo.ts'
import { keepRunning } from './keep.ts'
import { takePort } from './ports.ts'
import { startPostgres } from './postgres.ts'
import { removeRunFile, writeRunFile, type RunFile } from './run-file.ts'
import { isSame, markOf, type Mark } from './file-lock.ts'
import { lockState } from './state-lock.ts'
import { findTemporal } from './temporal-cli.ts'
import { startTemporal, stopTemporal } from './temporal.ts'

export type SupervisorOptions = {
  readonly config: Config
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Absolute. */
  readonly stateDir: string
  readonly apiReplicas: number
  readonly durableReplicas: number
  readonly say: (line: string) => void
}

export type Supervised = {
  readonly run: () => RunFile
  readonly restart: (kind: 'api' | 'durable') => Promise<void>
  readonly stop: () => Promise<void>
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const ending = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const entryOf = (name: string) => join(root, 'workers', `${name}${ending}`)

/** Starts everything; what had started is stopped again when something fails. */
export async function supervise(options: SupervisorOptions): Promise<Supervised> {
  await mkdir(join(options.stateDir, 'logs'), { recursive: true })
  const stops: (() => Promise<void>)[] = [await lockState(options.stateDir)]
  const stop = async () => {
    await removeRunFile(options.stateDir)
    for (const each of stops.splice(0).toReversed()) await each()
  }
  try {
    return await startAll(options, stops, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

type Stops = (() => Promise<void>)[]

async function startAll(options: SupervisorOptions, stops: Stops, stop: () => Promise<void>): Promise<Supervised> {
  const { config, stateDir } = options
  await removeRunFile(stateDir)
  await endLeftovers(stateDir)
  const ports = await choosePorts(options)
  const settings = parseTemporalSettings(readFileSync(join(root, 'temporal.yaml'), 'utf8'))
  const state: { run: RunFile | undefined } = { run: undefined }
  // What is replaced before all is ready is written with everything else.
  const replaced = () => void (state.run && write().catch((error: Error) => options.say(error.message)))
  const [postgres, temporal] = await Promise.all([
    databaseOf(options, { stops, replaced }),
    temporalOf(options, { settings, ports, stops, replaced }),
  ])
  const demo = config.environment === 'development' ? await prepareDemo(stateDir) : []
  const environment = childEnvironment(options, { postgres, temporal, publicPort: ports.api[0] ?? config.port })
  await runOnce(options, 'migrate', environment)
  const start = (name: string, entry: string, extra: Readonly<Record<string, string>> = {}) =>
    startChild({
      name,
      keepsPort: entry.startsWith('local/'),
      entry: entryOf(entry),
      env: { ...environment, ...extra },
      cwd: root,
      logFile: join(stateDir, 'logs', `${name}.log`),
      onReplaced: replaced,
    })
  const scripted = config.model.kind === 'scripted' ? await start('model', 'local/scripted-model') : undefined
  if (scripted) stops.push(scripted.stop)
  const tools = await start('tools', 'local/tool-server')
  stops.push(tools.stop)
  const found = {
    GATEHOUSE_TOOLS_URL: tools.facts().url ?? '',
    ...(scripted ? { GATEHOUSE_MODEL_URL: scripted.facts().url ?? '' } : {}),
  }
  const apis = await startAllOf(
    ports.api.map((port, index) => start(`api-${index + 1}`, 'api', { ...found, GATEHOUSE_PORT: String(port) })),
    stops,
  )
  const numbers = Array.from({ length: options.durableReplicas }, (_none, index) => index + 1)
  const durables = await startAllOf(
    numbers.map((number) => start(`durable-${number}`, 'durable', found)),
    stops,
  )
  const startedAt = new Date().toISOString()
  const write = async () => {
    state.run = runFileOf({ ports, temporal, postgres, scripted, tools, apis, durables, demo, startedAt })
    await writeRunFile(stateDir, state.run)
  }
  await write()
  return {
    run: () => state.run as RunFile,
    restart: async (kind) =>
      void (await Promise.all((kind === 'api' ? apis : durables).map((child) => child.restart()))),
    stop,
  }
}

type Parts = {
  readonly ports: Ports
  readonly temporal: Durable
  readonly postgres: Database
  readonly scripted: ManagedChild | undefined
  readonly tools: ManagedChild
  readonly apis: readonly ManagedChild[]
  readonly durables: readonly ManagedChild[]
  readonly demo: RunFile['demo']
  readonly startedAt: string
}

function runFileOf({ ports, temporal, postgres, scripted, tools, apis, durables, demo, startedAt }: Parts): RunFile {
  return {
    ready: true,
    startedAt,
    api: ports.api.map((port) => `http://127.0.0.1:${port}`),
    openapi: `http://127.0.0.1:${ports.api[0]}/openapi.json`,
    temporalAddress: temporal.address,
    temporalUi: temporal.uiUrl,
    databaseUrl: postgres.url,
    model: scripted?.facts().url ?? null,
    tools: tools.facts().url ?? null,
    pids: {
      supervisor: process.pid,
      api: apis.map((child) => child.pid()),
      durable: durables.map((child) => child.pid()),
      postgres: postgres.pid(),
      temporal: temporal.pid(),
      model: scripted?.pid() ?? null,
      tools: tools.pid(),
    },
    demo,
  }
}

async function startAllOf(starting: readonly Promise<ManagedChild>[], stops: Stops): Promise<ManagedChild[]> {
  const settled = await Promise.allSettled(starting)
  const started = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  stops.push(async () => void (await Promise.all(started.map((child) => child.stop()))))
  const failed = settled.find((each) => each.status === 'rejected')
  if (failed) throw failed.reason
  return started
}

// Children of ours end when their parent vanishes; Postgres is adopted; only Temporal must be ended, if it is the very
// process that we marked.
async function endLeftovers(stateDir: string): Promise<void> {
  const file = join(stateDir, 'temporal.mark')
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text !== undefined) {
    const mark = JSON.parse(text) as Mark
    if (isSame(mark)) await stopTemporal(mark.pid)
  }
  await rm(file, { force: true })
}

type Ports = { readonly api: readonly number[]; readonly temporal: number; readonly temporalUi: number }

async function choosePorts({ config, apiReplicas, say }: SupervisorOptions): Promise<Ports> {
  const taken = new Set<number>()
  const take = async (wanted: number, what: string) => {
    const port = await takePort(wanted, taken)
    if (port !== wanted) say(`Port ${wanted} is busy: ${what} takes ${port}.`)
    return port
  }
  const api: number[] = []
  for (let index = 0; index < apiReplicas; index += 1)
    api.push(await take(index === 0 ? config.port : (api[index - 1] ?? 0) + 1, 'the API'))
  if (config.temporal.address !== undefined) return { api, temporal: 0, temporalUi: 0 }
  return { api, temporal: await take(7233, 'Temporal'), temporalUi: await take(8233, 'the Temporal UI') }
}

type Database = { readonly url: string; readonly pid: () => number | null }
type Keeping = { readonly stops: Stops; readonly replaced: () => void }

async function databaseOf(
  { config, stateDir, say }: SupervisorOptions,
  { stops, replaced }: Keeping,
): Promise<Database> {
  const given = config.secrets.databaseUrl?.reveal()
  if (given !== undefined) return { url: given, pid: () => null }
  const start = () => startPostgres({ stateDir })
  const server = await start()
  if (server.adopted) say('Took over the Postgres that an earlier start left behind.')
  const kept = keepRunning(server, { name: 'Postgres', start, onReplaced: replaced, say })
  stops.push(kept.stop)
  return { url: server.url, pid: () => kept.current().pid }
}

type Durable = { readonly address: string; readonly uiUrl: string | null; readonly pid: () => number | null }
type TemporalFacts = Keeping & { readonly settings: TemporalSettings; readonly ports: Ports }

async function temporalOf(
  options: SupervisorOptions,
  { settings, ports, stops, replaced }: TemporalFacts,
): Promise<Durable> {
  const { config, stateDir } = options
  if (config.temporal.address !== undefined)
    return { address: config.temporal.address, uiUrl: config.temporal.uiUrl ?? null, pid: () => null }
  const cli = await findTemporal({
    mode: config.temporal.mode,
    version: settings.cli,
    environment: options.environment,
    say: options.say,
  })
  const markFile = join(stateDir, 'temporal.mark')
  const start = async () => {
    const server = await startTemporal({
      cliPath: cli.path,
      settings,
      port: ports.temporal,
      uiPort: ports.temporalUi,
      stateDir,
      codecEndpoint: `http://127.0.0.1:${ports.api[0]}/temporal/codec`,
      logFile: join(stateDir, 'logs', 'temporal.log'),
    })
    await writeFile(markFile, JSON.stringify(markOf(server.pid)), { mode: 0o600 })
    return server
  }
  const server = await start()
  const kept = keepRunning(server, { name: 'Temporal', start, onReplaced: replaced, say: options.say })
  stops.push(async () => {
    await kept.stop()
    await rm(markFile, { force: true })
  })
  return { address: server.address, uiUrl: server.uiUrl, pid: () => kept.current().pid }
}

type Found = { readonly postgres: Database; readonly temporal: Durable; readonly publicPort: number }

function childEnvironment(
  { environment, config, stateDir }: SupervisorOptions,
  { postgres, temporal, publicPort }: Found,
) {
  return {
    ...environment,
    GATEHOUSE_ENV: config.environment,
    GATEHOUSE_STATE_DIR: stateDir,
    GATEHOUSE_PUBLIC_URL: config.publicUrl ?? `http://127.0.0.1:${publicPort}`,
    DATABASE_URL: postgres.url,
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_NAMESPACE: config.temporal.namespace,
    ...(temporal.uiUrl === null ? {} : { TEMPORAL_UI_URL: temporal.uiUrl }),
  }
}

async function runOnce(
  options: SupervisorOptions,
  entry: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', entryOf(entry)], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  if (code !== 0) throw new Error(`${entry} failed with ${code}:\n${text}`)
  options.say(text.trim())
}
