// What the processes of an installation are told: each no more than it needs.
import type { Config } from '../../config/load.ts'

export type Environment = Readonly<Record<string, string | undefined>>

type Facts = {
  readonly config: Config
  /** The supervisor's own. */
  readonly environment: Environment
  /** Absolute. */
  readonly stateDir: string
}

/** Environment of processes that serve; `origin` is where the first API is. The owner's database stays with us. */
export function serviceEnvironment({ environment, config, stateDir }: Facts, origin: string): Environment {
  return {
    ...environment,
    DATABASE_OWNER_URL: undefined,
    GATEHOUSE_ENV: config.environment,
    GATEHOUSE_STATE_DIR: stateDir,
    GATEHOUSE_PUBLIC_URL: config.publicUrl ?? origin,
    TEMPORAL_NAMESPACE: config.temporal.namespace,
  }
}

// What a machine has that a program needs to run, and what we let anybody know.
const forDoubles = /^(?:PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|SystemRoot|LOG_LEVEL)$/

/** Environment of the shown doubles: outside parties, to which none of our secrets are told. */
export function doubleEnvironment({ environment, stateDir }: Facts): Environment {
  const known = Object.entries(environment).filter(([name]) => forDoubles.test(name))
  return { ...Object.fromEntries(known), GATEHOUSE_ENV: 'development', GATEHOUSE_STATE_DIR: stateDir }
}
