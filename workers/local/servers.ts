// The two servers under an installation: Postgres and Temporal, given by settings or our own.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../config/load.ts'
import type { TemporalSettings } from '../../config/temporal.ts'
import { keepRunning } from './keep.ts'
import { startPostgres } from './postgres.ts'
import { isSame, markOf, parseMark } from './processes.ts'
import { findTemporal } from './temporal-cli.ts'
import { startTemporal, stopTemporal } from './temporal.ts'
import { writeWhole } from './whole-file.ts'

type ServerOptions = {
  readonly config: Config
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly stateDir: string
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

type TemporalPorts = { readonly api: readonly number[]; readonly temporal: number; readonly temporalUi: number }

// Children of ours end when their parent vanishes; Postgres is adopted; only Temporal must be ended, if it is the very
// process that we marked.
/** Ends what a killed supervisor left running. */
export async function endLeftovers(stateDir: string): Promise<void> {
  const file = join(stateDir, 'temporal.mark')
  const mark = parseMark(await readFile(file, 'utf8').catch(() => ''))
  if (mark && isSame(mark)) await stopTemporal(mark.pid)
  await rm(file, { force: true })
}

/** `isOurs`: embedded, `url` is its owner's; else as it was given. */
export type Database = { readonly url: string; readonly isOurs: boolean; readonly pid: () => number | null }
export type Keeping = { readonly stops: (() => Promise<void>)[]; readonly replaced: () => void }

/** The given database, else the embedded one, kept running. */
export async function databaseOf(
  { config, stateDir, say }: ServerOptions,
  { stops, replaced }: Keeping,
): Promise<Database> {
  const given = config.secrets.databaseUrl?.reveal()
  if (given !== undefined) return { url: given, isOurs: false, pid: () => null }
  const start = () => startPostgres({ stateDir })
  const server = await start()
  if (server.adopted) say('Took over the Postgres that an earlier start left behind.')
  const kept = keepRunning(server, { name: 'Postgres', start, onReplaced: replaced, say })
  stops.push(kept.stop)
  return { url: server.url, isOurs: true, pid: () => kept.current().pid }
}

export type Durable = { readonly address: string; readonly uiUrl: string | null; readonly pid: () => number | null }
type TemporalFacts = Keeping & { readonly settings: TemporalSettings; readonly ports: TemporalPorts }

/** The given cluster, else a development server of our own, kept running. */
export async function temporalOf(
  options: ServerOptions,
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
    signal: options.signal,
  })
  options.signal.throwIfAborted()
  const markFile = join(stateDir, 'temporal.mark')
  const start = () =>
    startTemporal({
      cliPath: cli.path,
      settings,
      port: ports.temporal,
      uiPort: ports.temporalUi,
      stateDir,
      codecEndpoint: `http://127.0.0.1:${ports.api[0]}/temporal/codec`,
      logFile: join(stateDir, 'logs', 'temporal.log'),
      onSpawn: (pid) => writeWhole(markFile, JSON.stringify(markOf(pid))),
    })
  const server = await start()
  const kept = keepRunning(server, { name: 'Temporal', start, onReplaced: replaced, say: options.say })
  stops.push(async () => {
    await kept.stop()
    await rm(markFile, { force: true })
  })
  return { address: server.address, uiUrl: server.uiUrl, pid: () => kept.current().pid }
}
