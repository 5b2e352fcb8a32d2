// Assembly: what both the API and the durable worker are made of, put together once and taken apart in reverse.
import { join } from 'node:path'
import type { Config } from '../config/load.ts'
import { createSeal, type Seal } from '../crypto/seal.ts'
import { createListener, createPool, type Pool } from '../db/pool.ts'
import { createPostgresQuota } from '../db/quota.ts'
import { createTokenBus } from '../db/token-bus.ts'
import { quotaConnectionsMax } from '../domain/limits.ts'
import type { Pipeline } from '../gateway/call.ts'
import { keepPayloads } from '../gateway/audit-payload.ts'
import { createEpochs, type LiveEpochs } from '../gateway/epochs.ts'
import { openEvidence } from '../gateway/evidence.ts'
import { createMemoryQuota } from '../gateway/quota-memory.ts'
import { createPipeline } from '../gateway/pipeline.ts'
import { createPolicies, type LivePolicies } from '../gateway/policies.ts'
import type { Clock, Members, QuotaStore, TokenBus } from '../gateway/ports.ts'
import { sealBus } from '../gateway/sealed-bus.ts'
import { createSigningKeys, type SigningKeys } from '../gateway/signing-keys.ts'
import { createTranscripts, type Transcripts } from '../gateway/transcripts.ts'
import { createEvents, type Events } from '../telemetry/events.ts'
import { createTracing, type Tracing } from '../telemetry/tracing.ts'
import type { Logger } from '../telemetry/log.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'
import { compilePolicyText, policyFolders, root } from './files.ts'
import { loadMasterKey } from './master-key.ts'
import { followMembers } from './members-file.ts'
import { followPolicyFiles, type PolicyFiles } from './policy-files.ts'
import { openTranscriptKeys } from './transcript-keys.ts'

export type Services = AsyncDisposable & {
  readonly pool: Pool
  readonly seal: Seal
  readonly keys: SigningKeys
  readonly members: Members
  readonly epochs: LiveEpochs
  readonly policy: LivePolicies
  readonly policyFiles: PolicyFiles
  readonly pipeline: Pipeline
  readonly quota: QuotaStore
  readonly bus: TokenBus
  readonly transcripts: Transcripts
  readonly events: Events
  readonly metrics: Metrics
  readonly tracing: Tracing
  readonly clock: Clock
  readonly publicUrl: string
}

/** Puts the services together. What was started is ended again when a later part fails. */
export async function assemble({
  config,
  log,
  name,
}: {
  config: Config
  log: Logger
  name: string
}): Promise<Services> {
  const url = config.secrets.databaseUrl?.reveal()
  if (url === undefined) throw new Error('DATABASE_URL is not set; `npm start` sets it.')
  await using stack = new AsyncDisposableStackLike()
  const clock: Clock = () => new Date()
  const metrics = createMetrics()
  const tracing = stack.use(createTracing({ name, otlpEndpoints: config.telemetry.otlpEndpoints }))
  const events = createEvents(log.child({ room: 'events' }), metrics)
  const pool = createPool({
    url,
    applicationName: name,
    onError: (error) => log.warn({ err: error }, 'an idle connection was lost'),
  })
  stack.defer(() => pool.end())
  const seal = createSeal(await loadMasterKey(config))
  const transcripts = createTranscripts({ pool, ring: await openTranscriptKeys(config, seal) })
  const keys = await createSigningKeys({ pool, seal, clock })
  const files = [
    join(root, 'policy', 'members.yaml'),
    ...(config.environment === 'development' ? [join(config.stateDir, 'members.yaml')] : []),
  ]
  const members = stack.use(await followMembers({ files, log }))
  const listener = () => createListener(url, `${name}-listen`)
  const epochs = stack.use(await createEpochs({ pool, listener, log }))
  const folder = join(config.stateDir, 'spool')
  const connection = () => createListener(url, `${name}-spool`)
  const evidence = stack.use(await openEvidence({ pool, keys, log, folder, connection }))
  const quotaPool = createPool({
    url,
    connectionsMax: quotaConnectionsMax,
    applicationName: `${name}-quota`,
    onError: (error) => log.warn({ err: error }, 'an idle connection was lost'),
  })
  stack.defer(() => quotaPool.end())
  const quota: QuotaStore = config.quotas === 'memory' ? createMemoryQuota() : createPostgresQuota(quotaPool)
  const compile = compilePolicyText
  const policyFiles = stack.use(await followPolicyFiles({ pool, compile, folders: policyFolders(config), log }))
  const policy = stack.use(await createPolicies({ pool, compile, listener, log }))
  const plain = createPipeline({ pool, epochs, policy, evidence, quota, events, spanIds: tracing.spanIds })
  const pipeline = config.auditPayloads ? keepPayloads(plain, { pool, seal, log }) : plain
  const plainBus = stack.use(
    createTokenBus({ pool, listener, onFault: (error) => log.warn({ err: error }, 'the token bus lost its line') }),
  )
  const bus = sealBus(plainBus, transcripts)
  const owned = stack.move()
  return {
    ...{ pool, seal, keys, members, epochs, policy, policyFiles, pipeline, quota, bus, transcripts },
    ...{ events, metrics, tracing, clock },
    publicUrl: config.publicUrl ?? `http://127.0.0.1:${config.port}`,
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

/** Ends what it was given, last first. Node 20 has no AsyncDisposableStack of its own. */
class AsyncDisposableStackLike implements AsyncDisposable {
  #ends: (() => Promise<void>)[] = []
  defer(end: () => Promise<void>): void {
    this.#ends.push(end)
  }
  use<T extends AsyncDisposable>(resource: T): T {
    this.#ends.push(async () => resource[Symbol.asyncDispose]())
    return resource
  }
  move(): AsyncDisposableStackLike {
    const other = new AsyncDisposableStackLike()
    other.#ends = this.#ends.splice(0)
    return other
  }
  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.splice(0).toReversed()) await end()
  }
}
