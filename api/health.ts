// Alive, and ready: the first says what this installation is, the second whether what it needs answers.
import { readMoneyStops } from '../db/ledger-audit.ts'
import { pingDatabase } from '../db/ping.ts'
import type { Pool } from '../db/pool.ts'
import { readinessCacheMs, readinessProbeMs } from '../domain/limits.ts'
import type { Epochs } from '../gateway/ports.ts'
import { Health, Readiness } from '../schemas/health.ts'
import { route, type Route } from './route.ts'

export type HealthDeps = {
  readonly pool: Pool
  readonly epochs: Pick<Epochs, 'isFresh'>
  readonly policyState: () => Readiness['policy']
  readonly durable: { readonly isReady: () => Promise<boolean> }
  readonly environment: 'development' | 'production'
  readonly version: string
}

export function createHealthRoutes(deps: HealthDeps): Route[] {
  const readiness = createReadiness(deps)
  return [
    route({
      method: 'get',
      path: '/health',
      family: 'plain',
      summary: 'The process is alive; how its keys are kept and what is degraded.',
      guard: { kind: 'public', because: 'Load balancers know nobody.' },
      responses: { 200: Health },
      handle: async () => ({ status: 200, body: healthOf(deps, (await readiness()).money) }),
    }),
    route({
      method: 'get',
      path: '/ready',
      family: 'plain',
      summary: 'Database, Temporal and the revocation feed answer.',
      guard: { kind: 'public', because: 'Load balancers know nobody.' },
      responses: { 200: Readiness, 503: Readiness },
      async handle() {
        const body = await readiness()
        return body.ready ? { status: 200, body } : { status: 503, headers: { 'retry-after': '2' }, body }
      },
    }),
  ]
}

// Nothing here is attested, and the master key comes from the environment or a file: that is said, not hidden.
function healthOf({ environment, version }: HealthDeps, money: Readiness['money']): Health {
  return {
    status: 'ok',
    version,
    securityPosture: {
      mode: environment,
      attestationAvailability: { teeEnabled: false },
      keySources: { jwtSecret: 'env_fallback', signingKeyMaterial: 'env_fallback' },
      crossGatewayTrust: { state: 'degraded_no_attestation', attestationUrl: null, attestedJwksHashTrunc16: null },
      degraded: true,
      degradedReasons: ['attestation_unavailable', 'keys_env_fallback', ...(money === 'ok' ? [] : [`money_${money}`])],
    },
  }
}

// Anybody may ask, so everybody who asks within half a second gets one answer.
function createReadiness({ pool, epochs, durable, policyState }: HealthDeps): () => Promise<Readiness> {
  let answer: Promise<Readiness> | undefined
  let askedAt = Number.NEGATIVE_INFINITY
  const ask = async (): Promise<Readiness> => {
    const [database, temporal, money] = await Promise.all([
      holds(pingDatabase(pool).then(() => true)),
      holds(durable.isReady()),
      moneyOf(pool),
    ])
    const revocations = epochs.isFresh()
    const word = (isGood: boolean) => (isGood ? 'ok' : 'failed')
    return {
      ready: database && temporal && revocations,
      checks: { database: word(database), temporal: word(temporal), revocations: word(revocations) },
      money,
      policy: policyState(),
    }
  }
  return () => {
    if (answer && performance.now() - askedAt < readinessCacheMs) return answer
    askedAt = performance.now()
    answer = ask()
    return answer
  }
}

// One stopped wallet is no reason to take a process out of service: readiness says it, and stays.
async function moneyOf(pool: Pool): Promise<Readiness['money']> {
  let isStopped: boolean | undefined
  await holds(
    readMoneyStops(pool, 1).then((stops) => {
      isStopped = stops.length > 0
      return true
    }),
  )
  if (isStopped === undefined) return 'unknown'
  return isStopped ? 'stopped' : 'ok'
}

async function holds(probe: Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, readinessProbeMs, false)
  })
  return Promise.race([probe.catch(() => false), late]).finally(() => clearTimeout(timer))
}
