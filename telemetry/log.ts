// The logger, made once per process. Lines are JSON; whatever looks like a credential or a secret is redacted by path
// before it is written.
import { pino, type Logger as PinoLogger } from 'pino'

export type Logger = Pick<PinoLogger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  readonly child: (bindings: Readonly<Record<string, unknown>>) => Logger
}

const secretNames = [
  'authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'token',
  'signature',
  'secret',
  'password',
  'privateKey',
  'apiKey',
  'anthropicApiKey',
  'databaseUrl',
  'masterKey',
]

const redactPaths = secretNames.flatMap((name) => {
  const key = /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `["${name}"]`
  const top = key.startsWith('.') ? key.slice(1) : key
  return [top, `*${key}`, `*.*${key}`]
})

export type LogOptions = {
  readonly level: string
  readonly name: string
  /** Where lines go; standard output when absent. */
  readonly destination?: { readonly write: (line: string) => void }
}

/** Creates the process's logger. Child loggers carry a room's name. */
export function createLogger(options: LogOptions): Logger {
  const settings = {
    level: options.level,
    base: { name: options.name, pid: undefined, hostname: undefined },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    redact: { paths: redactPaths, censor: '[redacted]' },
    serializers: { err: describeError, error: describeError },
  }
  return options.destination ? pino(settings, options.destination) : pino(settings)
}

// Messages and stacks of our own errors are safe by construction; causes of foreign ones may quote headers and are
// reduced to their names.
function describeError(value: unknown): unknown {
  if (!(value instanceof Error)) return value
  const code = 'code' in value ? value.code : undefined
  const cause = value.cause instanceof Error ? `${value.cause.name}: ${value.cause.message}` : undefined
  return { type: value.name, message: value.message, code, stack: value.stack, cause }
}
