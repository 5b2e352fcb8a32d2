// Environment in, one frozen Config out. No side effects, no `process`: the caller passes the environment. All faults
// are reported together by variable name. Secrets travel apart in `config.secrets` and print as `[redacted]`.
import { inspect } from 'node:util'
import { z } from 'zod'
import { drainSecondsMax, otlpReceiversMax, sessionIdleCloseMinutes } from '../domain/limits.ts'

/** A value that never prints: JSON, string and inspection all show `[redacted]`; only `reveal()` gives it. */
export type Secret = { readonly reveal: () => string; readonly toJSON: () => string; readonly toString: () => string }

/** Wraps a secret string so that no logger, error or JSON can show it. */
export function secret(value: string): Secret {
  const hide = () => '[redacted]'
  return Object.freeze({ reveal: () => value, toJSON: hide, toString: hide, [inspect.custom]: hide })
}

const blankAsAbsent = (value: unknown) => (value === '' ? undefined : value)
const optional = <S extends z.ZodType>(schema: S) => z.preprocess(blankAsAbsent, schema.optional())
const withDefault = <S extends z.ZodType>(schema: S, fallback: string) =>
  z.preprocess((value) => blankAsAbsent(value) ?? fallback, schema)
const url = (protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    message: `must be a URL with ${protocols.join(' or ')}`,
  })

export const roles = ['durable', 'llm', 'tools', 'ledger', 'control', 'batch'] as const
export type Role = (typeof roles)[number]

/** Every variable Gatehouse reads. `.env.example` lists the same names; a test compares the two. */
// libpq allows an empty host with `?host=/socket/folder`, which the URL standard does not.
const postgresUrl = z.string().regex(/^postgres(ql)?:\/\//, 'must begin with postgres://')

export const Environment = z.object({
  GATEHOUSE_ENV: withDefault(z.enum(['development', 'production']), 'development'),
  GATEHOUSE_PORT: withDefault(z.coerce.number().int().min(0).max(65_535), '4300'),
  GATEHOUSE_STATE_DIR: withDefault(z.string().min(1), '.gatehouse'),
  GATEHOUSE_TEMPORAL: withDefault(z.enum(['auto', 'path', 'build', 'download']), 'auto'),
  GATEHOUSE_ROLES: withDefault(
    z
      .string()
      .transform((text) => text.split(',').map((part) => part.trim()))
      .pipe(z.array(z.enum(roles)).min(1)),
    roles.join(','),
  ),
  GATEHOUSE_PUBLIC_URL: optional(url(['http:', 'https:'])),
  GATEHOUSE_PROXIES: optional(
    z
      .string()
      .regex(/^[0-8]$/, 'must be a number from 0 to 8')
      .transform(Number),
  ),
  GATEHOUSE_DRAIN_SECONDS: optional(z.coerce.number().int().min(0).max(drainSecondsMax)),
  GATEHOUSE_QUOTAS: withDefault(z.enum(['postgres', 'memory']), 'postgres'),
  GATEHOUSE_MASTER_KEY: optional(z.string().regex(/^[0-9a-f]{64}$/i, 'must be 64 hexadecimal digits (32 bytes)')),
  GATEHOUSE_SESSION_IDLE_MINUTES: withDefault(
    z.coerce.number().int().min(1).max(sessionIdleCloseMinutes),
    `${sessionIdleCloseMinutes}`,
  ),
  GATEHOUSE_AUDIT_PAYLOADS: withDefault(z.enum(['off', 'on']), 'off'),
  GATEHOUSE_MODEL_URL: optional(url(['http:', 'https:'])),
  GATEHOUSE_TOOLS_URL: optional(url(['http:', 'https:'])),
  DATABASE_URL: optional(postgresUrl),
  DATABASE_OWNER_URL: optional(postgresUrl),
  TEMPORAL_ADDRESS: optional(z.string().regex(/^[^\s:/]+:\d+$/, 'must be host:port')),
  TEMPORAL_NAMESPACE: withDefault(z.string().min(1), 'gatehouse'),
  TEMPORAL_UI_URL: optional(url(['http:', 'https:'])),
  ANTHROPIC_API_KEY: optional(z.string().min(8)),
  ANTHROPIC_BASE_URL: optional(url(['http:', 'https:'])),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(
    z
      .string()
      .transform((text) => text.split(',').map((part) => part.trim()))
      .pipe(z.array(url(['http:', 'https:'])).max(otlpReceiversMax)),
  ),
  LOG_LEVEL: withDefault(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']), 'info'),
})

export type Config = {
  readonly environment: 'development' | 'production'
  readonly port: number
  readonly publicUrl: string | undefined
  /** Reverse proxies in front, each of which appends to X-Forwarded-For. */
  readonly proxies: number
  /** Where rates and quotas are counted: for all replicas, or by each process for itself. */
  readonly quotas: 'postgres' | 'memory'
  /** How long a process that stops waits for live streams, and for running work; 60 s in production. */
  readonly drainMs: { readonly streams: number; readonly work: number }
  readonly stateDir: string
  readonly roles: readonly Role[]
  readonly temporal: {
    readonly mode: 'auto' | 'path' | 'build' | 'download'
    readonly address: string | undefined
    readonly namespace: string
    readonly uiUrl: string | undefined
  }
  readonly model: {
    /** `scripted` until a provider key is configured; never `scripted` in production. */
    readonly kind: 'scripted' | 'anthropic'
    readonly baseUrl: string | undefined
  }
  /** URL of our own demonstration MCP server, set by the supervisor. */
  readonly toolsUrl: string | undefined
  /** After which an idle session's run completes. */
  readonly sessionIdleCloseMinutes: number
  /** Whether what goes in and out of effects is kept, sealed, beside its record. */
  readonly auditPayloads: boolean
  readonly telemetry: { readonly otlpEndpoints: readonly string[]; readonly logLevel: string }
  readonly secrets: {
    readonly databaseUrl: Secret | undefined
    /** Owner of the schema, for migrations and the operator's commands; absent: `databaseUrl` is the owner's. */
    readonly databaseOwnerUrl: Secret | undefined
    readonly anthropicApiKey: Secret | undefined
    /** 32 bytes as hex; absent means the key file of the state folder. */
    readonly masterKey: Secret | undefined
  }
}

/** Raised with every faulty variable named, one line each. */
export class ConfigError extends Error {
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(`The environment is not usable:\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/** Parses the environment. Throws ConfigError naming all faults at once. */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const parsed = Environment.safeParse(env)
  const faults = parsed.success ? [] : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  if (parsed.success) faults.push(...productionFaults(parsed.data))
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults)
  return deepFreeze(toConfig(parsed.data))
}

// Production never falls back to anything shown in development: no scripted model, no generated default secret.
function productionFaults(values: z.output<typeof Environment>): string[] {
  if (values.GATEHOUSE_ENV !== 'production') return []
  const faults: string[] = []
  if (!values.DATABASE_URL) faults.push('DATABASE_URL: is required in production')
  if (!values.TEMPORAL_ADDRESS) faults.push('TEMPORAL_ADDRESS: is required in production')
  if (!values.ANTHROPIC_API_KEY) faults.push('ANTHROPIC_API_KEY: is required in production (no scripted model there)')
  if (!values.GATEHOUSE_MASTER_KEY) faults.push('GATEHOUSE_MASTER_KEY: is required in production')
  else if (/^(.{1,32})\1+$/.test(values.GATEHOUSE_MASTER_KEY)) faults.push('GATEHOUSE_MASTER_KEY: is a default value')
  if (hasDefaultPassword(values.DATABASE_URL)) faults.push('DATABASE_URL: has a default password')
  if (hasDefaultPassword(values.DATABASE_OWNER_URL)) faults.push('DATABASE_OWNER_URL: has a default password')
  // The API is on loopback, so somebody is in front of it; a wrong number makes all callers one, or lets them say who
  // they are.
  if (values.GATEHOUSE_PROXIES === undefined)
    faults.push('GATEHOUSE_PROXIES: must be said in production: how many proxies append to X-Forwarded-For')
  if (!values.GATEHOUSE_PUBLIC_URL?.startsWith('https:'))
    faults.push('GATEHOUSE_PUBLIC_URL: must be an https URL in production')
  return faults
}

// Words that manuals and images put where a password goes.
function hasDefaultPassword(databaseUrl: string | undefined): boolean {
  const password = /^postgres(?:ql)?:\/\/[^:@/]*:([^@/]*)@/.exec(databaseUrl ?? '')?.[1]
  return /^(?:postgres|password|secret|change-?me|gatehouse|gateway|admin|root|example)$/i.test(password ?? '')
}

function toConfig(values: z.output<typeof Environment>): Config {
  const hidden = (value: string | undefined) => (value === undefined ? undefined : secret(value))
  const kind = values.ANTHROPIC_API_KEY ? 'anthropic' : 'scripted'
  return {
    environment: values.GATEHOUSE_ENV,
    port: values.GATEHOUSE_PORT,
    publicUrl: values.GATEHOUSE_PUBLIC_URL,
    proxies: values.GATEHOUSE_PROXIES ?? 0,
    quotas: values.GATEHOUSE_QUOTAS,
    drainMs: drainOf(values),
    stateDir: values.GATEHOUSE_STATE_DIR,
    roles: values.GATEHOUSE_ROLES,
    temporal: {
      mode: values.GATEHOUSE_TEMPORAL,
      address: values.TEMPORAL_ADDRESS,
      namespace: values.TEMPORAL_NAMESPACE,
      uiUrl: values.TEMPORAL_UI_URL,
    },
    model: { kind, baseUrl: kind === 'scripted' ? values.GATEHOUSE_MODEL_URL : values.ANTHROPIC_BASE_URL },
    toolsUrl: values.GATEHOUSE_TOOLS_URL,
    sessionIdleCloseMinutes: values.GATEHOUSE_SESSION_IDLE_MINUTES,
    auditPayloads: values.GATEHOUSE_AUDIT_PAYLOADS === 'on',
    telemetry: { otlpEndpoints: values.OTEL_EXPORTER_OTLP_ENDPOINT ?? [], logLevel: values.LOG_LEVEL },
    secrets: {
      databaseUrl: hidden(values.DATABASE_URL),
      databaseOwnerUrl: hidden(values.DATABASE_OWNER_URL),
      anthropicApiKey: hidden(values.ANTHROPIC_API_KEY),
      masterKey: hidden(values.GATEHOUSE_MASTER_KEY),
    },
  }
}

// In development Ctrl-C must not wait: streams resume, and work goes on after the next start.
function drainOf(values: z.output<typeof Environment>): Config['drainMs'] {
  const { GATEHOUSE_ENV: environment, GATEHOUSE_DRAIN_SECONDS: given } = values
  const usual =
    environment === 'production' ? { streams: drainSecondsMax, work: drainSecondsMax } : { streams: 1, work: 5 }
  return { streams: (given ?? usual.streams) * 1_000, work: (given ?? usual.work) * 1_000 }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}
