// The logger, made once per process. Lines are JSON; whatever looks like a credential or a secret is redacted before it
// is written.
import { pino, type Logger as PinoLogger } from 'pino'
import type { Redactor } from '../domain/redaction.ts'
import { redactLine, redactMembers } from './redact.ts'

export type Logger = Pick<PinoLogger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  readonly child: (bindings: Readonly<Record<string, unknown>>) => Logger
}

export type LogOptions = {
  readonly level: string
  readonly name: string
  /** Where lines go; standard output when absent. */
  readonly destination?: { readonly write: (line: string) => void }
  /** Takes known secrets out of each line. */
  readonly redactor?: Pick<Redactor, 'text'>
}

/** Creates the process's logger. Child loggers carry a room's name. */
export function createLogger(options: LogOptions): Logger {
  const { redactor } = options
  const settings = {
    level: options.level,
    base: { name: options.name, pid: undefined, hostname: undefined },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { log: redactMembers },
    serializers: { err: (described: unknown) => described }, // pino's own would describe it again
    hooks: { streamWrite: (line: string) => redactLine(redactor?.text(line) ?? line) },
  }
  const log = options.destination ? pino(settings, options.destination) : pino(settings)
  return withChildren(log, log.child)
}

// pino asks its formatter for the bindings of the first logger only; those of children are redacted here. A child
// inherits what its parent was given, so pino's own method is handed down.
function withChildren(log: PinoLogger, own: PinoLogger['child']): Logger {
  const child = (bindings: Readonly<Record<string, unknown>>) =>
    withChildren(Reflect.apply(own, log, [redactMembers(bindings)]), own)
  return Object.assign(log, { child })
}
