// A child process of the supervisor: started with a log file and a line to us, ready when it says so, restarted with
// back-off when it dies, ended in order.
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { toError } from '../../domain/errors.ts'
import { createBackOff, type BackOff } from './back-off.ts'

export type ChildOptions = {
  readonly name: string
  readonly entry: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Started anew it serves where it served before (`--port`): others were told the address. */
  readonly keepsPort: boolean
  readonly logFile: string
  /** Called whenever a new process took over. */
  readonly onReplaced: () => void
  /** Called when a new process did not get ready; the next one is tried. */
  readonly onFailed: (error: Error) => void
  /** Time between being told to end and being ended. */
  readonly stopMs: number
  /** Ends the first start while it is not ready. */
  readonly signal: AbortSignal
}

export type ManagedChild = {
  readonly name: string
  readonly pid: () => number
  /** What the child told when it was ready. */
  readonly facts: () => { readonly url?: string }
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

const readyMs = 60_000

type Running = {
  readonly process: ChildProcess
  readonly facts: { readonly url?: string }
  readonly gone: Promise<void>
}

type Life = {
  running: Running
  bornAt: number
  /** A process that is not ready yet. */
  starting: ChildProcess | undefined
  /** A restart is due, because somebody asked: no rest before it. */
  asked: boolean
  ending: boolean
  readonly backOff: BackOff
}

/** Starts the child; resolves when it is ready. */
export async function startChild(options: ChildOptions): Promise<ManagedChild> {
  const life: Life = {
    running: await launchFirst(options),
    bornAt: performance.now(),
    starting: undefined,
    asked: false,
    ending: false,
    backOff: createBackOff(),
  }
  const watching = watch(options, life)
  return {
    name: options.name,
    pid: () => life.running.process.pid ?? 0,
    facts: () => life.running.facts,
    async restart() {
      life.asked = true
      life.backOff.wake()
      // What is only starting has read what it was to be restarted for: it begins anew.
      if (life.starting) life.starting.kill('SIGKILL')
      else await end(options, life.running)
    },
    async stop() {
      life.ending = true
      life.backOff.wake()
      life.starting?.kill('SIGKILL')
      await end(options, life.running)
      await watching
    },
  }
}

async function launchFirst(options: ChildOptions): Promise<Running> {
  const { signal } = options
  signal.throwIfAborted()
  let end: (() => void) | undefined
  try {
    return await launch(options, {
      onSpawn: (child) => {
        end = () => void child.kill('SIGKILL')
        signal.addEventListener('abort', end, { once: true })
      },
    })
  } finally {
    if (end) signal.removeEventListener('abort', end)
  }
}

async function watch(options: ChildOptions, life: Life): Promise<void> {
  while (!life.ending) {
    await life.running.gone
    if (life.ending) return
    if (!life.asked) await life.backOff.rest(life.bornAt)
    if (life.ending) return
    life.asked = false
    life.bornAt = performance.now()
    const port = portOf(life.running)
    const next = await launch(options, { port, onSpawn: (child) => (life.starting = child) }).catch(
      (error: unknown) => void (life.ending || life.asked || options.onFailed(toError(error))),
    )
    life.starting = undefined
    if (!next) continue
    life.running = next
    if (life.ending) return end(options, next)
    options.onReplaced()
  }
}

function portOf({ facts }: Running): string | undefined {
  return facts.url === undefined ? undefined : new URL(facts.url).port
}

type Launch = { readonly port?: string | undefined; readonly onSpawn: (child: ChildProcess) => void }

async function launch(options: ChildOptions, { port, onSpawn }: Launch): Promise<Running> {
  const log = openSync(options.logFile, 'a', 0o600)
  const again = options.keepsPort && port !== undefined ? ['--port', port] : []
  const child = spawn(process.execPath, ['--import', 'tsx', options.entry, ...again], {
    cwd: options.cwd,
    env: options.env,
    detached: true, // a Ctrl-C in the terminal reaches the supervisor only, which ends us in order
    stdio: ['ignore', log, log, 'ipc'],
  })
  closeSync(log) // the child has its own
  onSpawn(child)
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const facts = await new Promise<{ url?: string }>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${options.name} was not ready within ${readyMs} ms; see ${options.logFile}.`)),
      readyMs,
    )
    child.on('message', (message: { ready?: boolean; url?: string }) => {
      if (message.ready !== true) return
      clearTimeout(timer)
      resolve(message)
    })
    child.once('error', reject)
    child.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`${options.name} ended with ${code} before it was ready; see ${options.logFile}.`))
    })
  }).catch((error: unknown) => {
    child.kill('SIGKILL')
    throw error
  })
  return { process: child, facts, gone }
}

async function end({ stopMs }: ChildOptions, running: Running): Promise<void> {
  running.process.kill('SIGTERM')
  const timer = setTimeout(() => running.process.kill('SIGKILL'), stopMs)
  await running.gone
  clearTimeout(timer)
}
