// Starts the Temporal development server with the flags that `temporal.yaml` asks for, waits until it answers, stops it.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Connection } from '@temporalio/client'
import type { TemporalSettings } from '../../config/temporal.ts'
import { isAlive, sleep } from './processes.ts'

export type LocalTemporal = {
  readonly address: string
  readonly uiUrl: string
  readonly pid: number
  readonly stop: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

export type TemporalOptions = {
  readonly cliPath: string
  readonly settings: TemporalSettings
  readonly port: number
  readonly uiPort: number
  /** Where histories are kept; absent: in memory. */
  readonly stateDir?: string
  /** The UI decodes payloads here. */
  readonly codecEndpoint?: string
  readonly logFile: string
  /** Told before the server answers: one whose parent is killed right then must be found again. */
  readonly onSpawn?: (pid: number) => Promise<void>
}

const startMs = 60_000
const stopMs = 8_000

/** Starts the server; resolves when it answers. */
export async function startTemporal(options: TemporalOptions): Promise<LocalTemporal> {
  const address = `127.0.0.1:${options.port}`
  const log = openSync(options.logFile, 'a', 0o600)
  const child = spawn(options.cliPath, ['server', 'start-dev', ...(await flagsOf(options))], {
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log) // the child has its own
  const failed = new Promise<never>((_resolve, reject) => {
    child.once('error', (error) => reject(new Error(`Temporal cannot be started: ${error.message}`)))
    child.once('exit', (code) => reject(new Error(`Temporal ended at once with ${code}; see ${options.logFile}.`)))
  })
  failed.catch(() => undefined)
  try {
    if (child.pid !== undefined) await options.onSpawn?.(child.pid)
    await Promise.race([failed, answers(address, options.settings.namespace.name)])
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  child.removeAllListeners('exit')
  child.unref()
  const pid = child.pid ?? 0
  const stop = () => stopTemporal(pid)
  return { address, uiUrl: `http://127.0.0.1:${options.uiPort}`, pid, stop, [Symbol.asyncDispose]: stop }
}

async function flagsOf({ settings, port, uiPort, stateDir, codecEndpoint }: TemporalOptions): Promise<string[]> {
  const pairs = Object.entries(settings.searchAttributes).flatMap(([name, type]) => [
    '--search-attribute',
    `${name}=${type}`,
  ])
  const dynamic = Object.entries(settings.dynamicConfig).flatMap(([name, value]) => [
    '--dynamic-config-value',
    `${name}=${JSON.stringify(value)}`,
  ])
  // The file is not migrated between versions of the CLI, hence the version in its path.
  const folder = stateDir === undefined ? undefined : join(stateDir, 'temporal', settings.cli)
  if (folder !== undefined) await mkdir(folder, { recursive: true, mode: 0o700 })
  const file =
    folder === undefined
      ? []
      : [
          '--db-filename',
          join(folder, 'dev.db'),
          '--sqlite-pragma',
          'journal_mode=WAL',
          '--sqlite-pragma',
          'synchronous=NORMAL',
        ]
  const ui =
    codecEndpoint === undefined ? ['--headless'] : ['--ui-port', String(uiPort), '--ui-codec-endpoint', codecEndpoint]
  return [
    ...['--ip', '127.0.0.1', '--port', String(port), '--namespace', settings.namespace.name, '--ui-disable-news-fetch'],
    ...ui,
    ...file,
    ...pairs,
    ...dynamic,
  ]
}

async function answers(address: string, namespace: string): Promise<void> {
  const deadline = performance.now() + startMs
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 1_000 })
      await connection.workflowService.describeNamespace({ namespace })
      await connection.close()
      return
    } catch (error) {
      if (performance.now() > deadline)
        throw new Error(`Temporal did not answer within ${startMs} ms.`, { cause: error })
      await sleep(100)
    }
  }
}

/** SIGTERM, then SIGKILL when that takes too long; its file survives both. */
export async function stopTemporal(pid: number): Promise<void> {
  if (!isAlive(pid)) return
  process.kill(pid, 'SIGTERM')
  const deadline = performance.now() + stopMs
  while (isAlive(pid)) {
    if (performance.now() > deadline) process.kill(pid, 'SIGKILL')
    await sleep(20)
  }
}
