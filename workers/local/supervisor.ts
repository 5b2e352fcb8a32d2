// Runs a whole installation on one machine: Postgres, Temporal, migrations, the shown doubles, durable workers, APIs; in
// this order up, in the reverse order down.
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Config } from '../../config/load.ts'
import { parseTemporalSettings } from '../../config/temporal.ts'
import { migrate } from '../../db/migrate.ts'
import { openServiceLogin } from './service-login.ts'
import { prepare } from '../prepare.ts'
import { startChild, type ManagedChild } from './child.ts'
import { prepareDemo } from './demo.ts'
import type { Part } from './parts.ts'
import { doubleEnvironment, serviceEnvironment, type Environment } from './environment.ts'
import { takePort } from './ports.ts'
import { keepRunFile, removeRunFile, type KeptRunFile, type RunFile } from './run-file.ts'
import { databaseOf, endLeftovers, temporalOf, type Database, type Durable } from './servers.ts'
import { lockState } from './state-lock.ts'

export type SupervisorOptions = {
  readonly config: Config
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Absolute. */
  readonly stateDir: string
  readonly apiReplicas: number
  readonly durableReplicas: number
  readonly say: (line: string) => void
  /** Aborted before everything is ready: what had started is stopped and the reason thrown. Later it means nothing. */
  readonly signal: AbortSignal
}

export type Supervised = {
  readonly run: () => RunFile
  /** Applies the migrations that wait; resolves to their names. */
  readonly migrate: () => Promise<readonly string[]>
  /** Resolves when the old processes are gone; the new ones follow by themselves. */
  readonly restart: (parts: readonly Part[]) => Promise<void>
  readonly stop: () => Promise<void>
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const ending = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const entryOf = (name: string) => join(root, 'workers', `${name}${ending}`)

/** Starts everything; what had started is stopped again when something fails. */
export async function supervise(options: SupervisorOptions): Promise<Supervised> {
  await makeStateFolder(options.stateDir)
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

async function makeStateFolder(stateDir: string): Promise<void> {
  await mkdir(join(stateDir, 'logs'), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    const sentence = `The state folder ${stateDir} cannot be used (${error.code}).`
    throw new Error(`${sentence} Set GATEHOUSE_STATE_DIR to a folder of yours.`, { cause: error })
  })
}

type Stops = (() => Promise<void>)[]

const stopMarginMs = 3_000 // beyond what a child waits for its work

async function startAll(options: SupervisorOptions, stops: Stops, stop: () => Promise<void>): Promise<Supervised> {
  const { config, stateDir, signal } = options
  await removeRunFile(stateDir)
  await endLeftovers(stateDir)
  const ports = await choosePorts(options)
  const settings = parseTemporalSettings(readFileSync(join(root, 'temporal.yaml'), 'utf8'))
  const state: { file?: KeptRunFile } = {}
  // What is replaced before all is ready is written with everything else.
  const replaced = () => void state.file?.write().catch((error: Error) => options.say(error.message))
  const start = starter(options, replaced)
  const double = async (name: string, entry: string) => {
    const child = await start(name, entry, doubleEnvironment(options))
    stops.push(child.stop)
    return child
  }
  const [postgres, temporal, scripted, tools] = await allOf([
    databaseOf(options, { stops, replaced }),
    temporalOf(options, { settings, ports, stops, replaced }),
    config.model.kind === 'scripted' ? double('model', 'local/scripted-model') : undefined,
    double('tools', 'local/tool-server'),
  ])
  signal.throwIfAborted()
  const { namespace } = config.temporal
  const ownerUrl = config.secrets.databaseOwnerUrl?.reveal() ?? postgres.url
  const target = { databaseUrl: ownerUrl, temporal: { address: temporal.address, namespace } }
  await prepare({ ...target, environment: config.environment, say: options.say })
  signal.throwIfAborted()
  const demo = config.environment === 'development' ? await prepareDemo(stateDir) : []
  const environment = {
    ...serviceEnvironment(options, `http://127.0.0.1:${ports.api[0] ?? config.port}`),
    DATABASE_URL: postgres.isOurs ? await openServiceLogin(ownerUrl) : postgres.url,
    TEMPORAL_ADDRESS: temporal.address,
    ...(temporal.uiUrl === null ? {} : { TEMPORAL_UI_URL: temporal.uiUrl }),
    GATEHOUSE_TOOLS_URL: tools.facts().url ?? '',
    ...(scripted ? { GATEHOUSE_MODEL_URL: scripted.facts().url ?? '' } : {}),
  }
  const [apis, durables] = await startServices(options, { ports, stops, environment, start })
  const startedAt = new Date().toISOString()
  const file = keepRunFile(stateDir, () =>
    runFileOf({ ports, temporal, postgres, scripted, tools, apis, durables, demo, startedAt }),
  )
  state.file = file
  await file.write()
  return {
    run: file.current,
    migrate: () => migrate(ownerUrl),
    restart: (parts) =>
      restartAll({ api: apis, durable: durables, model: scripted ? [scripted] : [], tools: [tools] }, parts),
    stop,
  }
}

async function restartAll(children: Record<Part, readonly ManagedChild[]>, parts: readonly Part[]): Promise<void> {
  await Promise.all(parts.flatMap((part) => children[part]).map((child) => child.restart()))
}

function starter({ config, stateDir, say, signal }: SupervisorOptions, replaced: () => void): Start {
  return (name, entry, env) =>
    startChild({
      name,
      keepsPort: entry.startsWith('local/'),
      entry: entryOf(entry),
      env,
      cwd: root,
      logFile: join(stateDir, 'logs', `${name}.log`),
      stopMs: Math.max(config.drainMs.streams, config.drainMs.work) + stopMarginMs,
      onReplaced: replaced,
      onFailed: (error) => say(error.message),
      signal,
    })
}

type Start = (name: string, entry: string, env: Environment) => Promise<ManagedChild>
type Services = {
  readonly ports: Ports
  readonly stops: Stops
  readonly environment: Environment
  readonly start: Start
}

function startServices({ durableReplicas }: SupervisorOptions, { ports, stops, environment, start }: Services) {
  const apis = ports.api.map((port, index) =>
    start(`api-${index + 1}`, 'api', { ...environment, GATEHOUSE_PORT: String(port) }),
  )
  const durables = Array.from({ length: durableReplicas }, (_none, index) =>
    start(`durable-${index + 1}`, 'durable', environment),
  )
  return allOf([startAllOf(apis, stops), startAllOf(durables, stops)] as const)
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

// Waits for all, also when one fails: what starts late must be stopped too.
async function allOf<T extends readonly unknown[]>(starting: T): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const settled = await Promise.allSettled(starting)
  const failed = settled.find((each) => each.status === 'rejected')
  if (failed) throw failed.reason
  return Promise.all(starting)
}

async function startAllOf(starting: readonly Promise<ManagedChild>[], stops: Stops): Promise<ManagedChild[]> {
  const settled = await Promise.allSettled(starting)
  const started = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  stops.push(async () => void (await Promise.all(started.map((child) => child.stop()))))
  const failed = settled.find((each) => each.status === 'rejected')
  if (failed) throw failed.reason
  return started
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
