// The frame of `npm start` and `npm run dev`: an installation from the first line to the last, however it is told to end.
import { resolve } from 'node:path'
import { ConfigError, loadConfig } from '../../config/load.ts'
import { toError } from '../../domain/errors.ts'
import { aborted } from '../process.ts'
import { banner } from './banner.ts'
import { supervise, type Supervised } from './supervisor.ts'

export type Frame = {
  /** Throws ConfigError for words on the command line that mean nothing. */
  readonly replicas: () => { readonly api: number; readonly durable: number }
  /** Runs beside the installation; what it answers ends it. */
  readonly beside?: (supervised: Supervised, say: (line: string) => void) => Promise<() => Promise<void>>
}

const stoppedEarly = 130

/** Starts everything, waits for Ctrl-C, stops in order; sets the exit code. */
export async function runUntilStopped(frame: Frame): Promise<void> {
  const signal = endingSignal()
  try {
    await run(frame, signal)
  } catch (error) {
    if (signal.aborted) {
      process.stdout.write('Stopped.\n')
      process.exitCode = stoppedEarly
      return
    }
    process.stderr.write(`${toError(error).message}\n`)
    process.exitCode = error instanceof ConfigError ? 78 : 1
  }
}

async function run({ replicas, beside }: Frame, signal: AbortSignal): Promise<void> {
  const startedAt = performance.now()
  const config = loadConfig(process.env)
  const { api, durable } = replicas()
  const say = (line: string) => void process.stdout.write(`${line}\n`)
  signal.addEventListener('abort', () => say('Stopping …'), { once: true })
  const supervised = await supervise({
    config,
    environment: process.env,
    stateDir: resolve(config.stateDir),
    apiReplicas: api,
    durableReplicas: durable,
    say,
    signal,
  })
  const readySeconds = (performance.now() - startedAt) / 1000
  say(banner({ run: supervised.run(), readySeconds, environment: config.environment, stateDir: config.stateDir }))
  const endBeside = await beside?.(supervised, say)
  await aborted(signal)
  await endBeside?.()
  await supervised.stop()
  say('Stopped.')
}

// A terminal that closes says so twice: to us and to the process that started us, which passes it on. Only the first
// signal means something; none of the others may cut the stopping short. Its streams are gone then, too.
function endingSignal(): AbortSignal {
  const ending = new AbortController()
  const end = () => ending.abort(new Error('Stopped before everything was ready.'))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end)
  for (const stream of [process.stdout, process.stderr]) stream.on('error', end)
  return ending.signal
}
