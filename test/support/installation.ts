// A whole installation as a user starts it: the supervisor in a process of its own with a state folder of its own, and
// the command line beside it. Everything is found through `run.json`, as any tool would find it.
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { removePostgresHome } from '../../workers/local/postgres-files.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

export type RunFile = {
  ready: boolean
  api: string[]
  temporalAddress: string
  temporalUi: string
  databaseUrl: string
  model: string
  tools: string
  pids: { supervisor: number; api: number[]; durable: number[]; postgres: number; temporal: number; model: number }
  demo: { name: string; address: string; keyFile: string }[]
}

export type Finished = { readonly code: number | null; readonly out: string; readonly err: string }

export type Installation = {
  readonly run: () => Promise<RunFile>
  readonly stateDir: string
  readonly port: number
  readonly readyMs: number
  /** Runs the command line with a home of its own; `home` separates people. */
  readonly cli: (args: readonly string[], home?: string) => Promise<Finished>
  readonly interrupt: () => Promise<Finished>
  readonly kill: () => Promise<void>
  readonly output: () => string
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

export type InstallationOptions = {
  readonly stateDir?: string
  readonly entry?: 'start' | 'dev'
  readonly args?: readonly string[]
  readonly port?: number
  readonly keepState?: boolean
  /** Settings beside the ones every suite has. */
  readonly env?: Readonly<Record<string, string>>
  readonly readyMsMax?: number
}

/** An environment without any vendor key or setting of ours. */
export function scrubbedEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(GATEHOUSE_|TEMPORAL_|ANTHROPIC_|OPENAI_|OTEL_|AWS_|DATABASE_URL$|VITEST|NODE_OPTIONS$)|_API_KEY$/.test(name),
  )
  return { ...Object.fromEntries(kept), ...extra }
}

/** Starts an installation and waits until `run.json` says ready. */
export async function startInstallation(options: InstallationOptions = {}): Promise<Installation> {
  const stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'gatehouse-e2e-'))
  const runFile = join(stateDir, 'run.json')
  const port = options.port ?? 20_000 + Math.floor(Math.random() * 20_000)
  const env = scrubbedEnvironment({ GATEHOUSE_STATE_DIR: stateDir, GATEHOUSE_PORT: String(port), ...options.env })
  const startedAt = performance.now()
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', `workers/${options.entry ?? 'start'}.ts`, ...(options.args ?? [])],
    {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const finished = collect(child)
  const read = async () => JSON.parse(await readFile(runFile, 'utf8')) as RunFile
  await until(
    async () => existsSync(runFile) && (await read()).ready && (await read()).pids.supervisor === child.pid,
    options.readyMsMax ?? 60_000,
    () => {
      if (child.exitCode !== null) throw new Error(`The supervisor ended early:\n${finished.text()}`)
    },
  ).catch(async (error: unknown) => {
    if (child.exitCode === null) child.kill('SIGINT') // nobody else knows of it
    await finished.done
    throw error
  })
  const readyMs = performance.now() - startedAt
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT')
    return finished.done
  }
  return {
    run: read,
    stateDir,
    port,
    readyMs,
    output: finished.text,
    cli: async (args, home = 'person') => {
      const cli = spawn(process.execPath, ['--import', 'tsx', 'workers/cli.ts', ...args], {
        cwd: root,
        env: { ...env, XDG_CONFIG_HOME: join(stateDir, 'homes', home) },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      return collect(cli).done
    },
    interrupt: stop,
    kill: async () => {
      child.kill('SIGKILL')
      await finished.done
    },
    [Symbol.asyncDispose]: async () => {
      await stop()
      if (options.keepState === true) return
      await removePostgresHome(stateDir) // outside the folder where that one cannot be entered by others
      await rm(stateDir, { recursive: true, force: true })
    },
  }
}

function collect(child: ChildProcess) {
  let out = ''
  let err = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text))
  const done = new Promise<Finished>((resolve) => child.on('close', (code) => resolve({ code, out, err })))
  return { done, text: () => `${out}\n${err}` }
}

/** Polls until the condition holds; throws after the deadline. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  timeoutMs: number,
  each?: () => void,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    each?.()
    if (await condition()) return
    if (performance.now() > deadline) throw new Error(`The condition did not hold within ${timeoutMs} ms.`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Whether a process is alive. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
