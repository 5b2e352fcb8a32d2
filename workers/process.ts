// The frame of every child process: configuration, a signal that ends it, and a word to the parent when it is ready. A
// child whose parent vanished ends by itself.
import { ConfigError, loadConfig, type Config } from '../config/load.ts'
import { knownSecrets } from '../config/secrets.ts'
import { toError } from '../domain/errors.ts'
import { createRedactor } from '../domain/redaction.ts'
import { createLogger, type Logger } from '../telemetry/log.ts'

export type ProcessContext = {
  readonly config: Config
  readonly log: Logger
  /** Aborts on SIGTERM, SIGINT or when the parent is gone. */
  readonly signal: AbortSignal
  /** Tells the parent. */
  readonly ready: (facts?: { readonly url?: string }) => void
}

const hangMs = 15_000

/** Runs `start` until its signal aborts and it returns; the process then ends by finishing. */
export async function runProcess(name: string, start: (context: ProcessContext) => Promise<void>): Promise<void> {
  const ending = new AbortController()
  const end = () => ending.abort()
  process.once('SIGTERM', end)
  process.once('SIGINT', end)
  process.once('disconnect', end)
  let log: Logger | undefined
  try {
    const config = loadConfig(process.env)
    const redactor = createRedactor(knownSecrets(config))
    log = createLogger({ level: config.telemetry.logLevel, name, redactor })
    process.on('unhandledRejection', (reason) => log?.error({ err: toError(reason) }, 'unhandled rejection'))
    await start({
      config,
      log,
      signal: ending.signal,
      ready: (facts = {}) => process.send?.({ ready: true, ...facts }),
    })
  } catch (error) {
    if (error instanceof ConfigError) process.stderr.write(`${error.message}\n`)
    else if (log) log.fatal({ err: toError(error) }, 'the process cannot go on')
    else process.stderr.write(`${toError(error).stack ?? ''}\n`)
    process.exitCode = error instanceof ConfigError ? 78 : 1
  } finally {
    process.off('disconnect', end)
    if (process.connected) process.disconnect()
    // Whatever still holds the loop after this time is a bug; the parent must not wait for it.
    setTimeout(() => {
      log?.error({ handles: process.getActiveResourcesInfo() }, 'the process hangs')
      process.kill(process.pid, 'SIGKILL')
    }, hangMs).unref()
  }
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
