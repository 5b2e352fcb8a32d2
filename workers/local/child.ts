// A child process of the supervisor: started with a log file and a line to us, ready when it says so, restarted with
// back-off when it dies, ended in order.
import { spawn, type ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { sleep } from './postgres.ts'

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
const stopMs = 8_000
const backOffMs = [200, 500, 1_000, 2_000, 5_000]

type Running = {
  readonly process: ChildProcess
  readonly facts: { readonly url?: string }
  readonly gone: Promise<void>
}

/** Starts the child; resolves when it is ready. */
export async function startChild(options: ChildOptions): Promise<ManagedChild> {
  let running = await launch(options)
  const life = { ending: false }
  const watch = async (): Promise<void> => {
    for (let deaths = 0; !life.ending; deaths += 1) {
      const bornAt = performance.now()
      await running.gone
      if (life.ending) return
      if (performance.now() - bornAt > 30_000) deaths = 0
      await sleep(backOffMs[Math.min(deaths, backOffMs.length - 1)] ?? 5_000)
      const next = life.ending ? undefined : await launch(options, portOf(running)).catch(() => undefined)
      if (next) {
        running = next
        options.onReplaced()
      }
    }
  }
  void watch()
  return {
    name: options.name,
    pid: () => running.process.pid ?? 0,
    facts: () => running.facts,
    async restart() {
      running.process.kill('SIGTERM')
      await running.gone
    },
    async stop() {
      life.ending = true
      await end(running)
    },
  }
}

function portOf({ facts }: Running): string | undefined {
  return facts.url === undefined ? undefined : new URL(facts.url).port
}

async function launch(options: ChildOptions, port?: string): Promise<Running> {
  const log = openSync(options.logFile, 'a', 0o600)
  const again = options.keepsPort && port !== undefined ? ['--port', port] : []
  const child = spawn(process.execPath, ['--import', 'tsx', options.entry, ...again], {
    cwd: options.cwd,
    env: options.env,
    detached: true, // a Ctrl-C in the terminal reaches the supervisor only, which ends us in order
    stdio: ['ignore', log, log, 'ipc'],
  })
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

async function end(running: Running): Promise<void> {
  running.process.kill('SIGTERM')
  const timer = setTimeout(() => running.process.kill('SIGKILL'), stopMs)
  await running.gone
  clearTimeout(timer)
}
