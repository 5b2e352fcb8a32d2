// The API of one process, assembled: services, routes, application, and the sweeps that only APIs run.
import { createServer } from 'node:http'
import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import { createApp } from '../api/app.ts'
import { doorFacts } from '../api/context.ts'
import type { HealthDeps } from '../api/health.ts'
import { allRoutes, type RoutesDeps } from '../api/routes.ts'
import { createDurable, type Durable } from '../clients/durable.ts'
import { createToolUpstreams, type ToolUpstreams } from '../clients/tools.ts'
import { resolveModel } from '../config/prices.ts'
import type { Config } from '../config/load.ts'
import { sweepIdentity } from '../db/identity.ts'
import { toError } from '../domain/errors.ts'
import { headerBytesMax, turnDoorsPerWallet, turnDoorWaitMs } from '../domain/limits.ts'
import { createAuthenticator } from '../gateway/authenticate.ts'
import { createIdempotency } from '../gateway/idempotency.ts'
import { createLanes } from '../gateway/lanes.ts'
import { createLogin } from '../gateway/login.ts'
import { createSignInLinks } from '../gateway/sign-in-link.ts'
import { createAgentCatalogue } from '../gateway/agents.ts'
import { createTurnSweep } from '../gateway/turn-sweep.ts'
import type { Logger } from '../telemetry/log.ts'
import { drainServer } from './drain.ts'
import { compilePolicyText, parsePolicyTests, readAgents, readPrices, readToolCatalogue, root } from './files.ts'
import { assemble, type Services } from './services.ts'
import { payloadCodecOf, temporalPlugins } from './temporal.ts'

export type ApiServer = AsyncDisposable & { readonly url: string }

const sweepMs = 60_000
const version = '0.1.0'

/** Starts the API on loopback. */
export async function startApi({ config, log }: { config: Config; log: Logger }): Promise<ApiServer> {
  const address = config.temporal.address
  if (address === undefined) throw new Error('TEMPORAL_ADDRESS is not set; `npm start` sets it.')
  const services = await assemble({ config, log, name: 'api' })
  const codec = payloadCodecOf(services.seal)
  const plugins = temporalPlugins({ codec, tracing: services.tracing })
  const durable = createDurable({ address, namespace: config.temporal.namespace, client: { plugins } })
  const { servers, classes } = await readToolCatalogue(config.toolsUrl)
  const environment = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LANG: 'C.UTF-8', TZ: 'UTC' }
  const guard = { command: process.execPath, args: [join(root, 'workers', 'local', 'stdio-guard.mjs')] }
  const tools = createToolUpstreams({ servers, environment, guard, log })
  const routes = allRoutes(await routeDeps({ services, durable, config, tools, classes }))
  const app = createApp({
    routes,
    door: doorFacts({
      publicUrl: services.publicUrl,
      port: config.port,
      temporalUiUrl: config.temporal.uiUrl,
      proxies: config.proxies,
    }),
    authenticate: createAuthenticator(services),
    idempotency: createIdempotency(services),
    checkReplies: config.environment !== 'production',
    trace: services.tracing.request,
    log,
    metrics: services.metrics,
  })
  const server = createServer({ maxHeaderSize: headerBytesMax, requestTimeout: 60_000, headersTimeout: 20_000 }, app)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(config.port, '127.0.0.1', resolve))
  const stopSweeps = startSweeps(services, log)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      await drainServer(server, config.drainMs.streams)
      await stopSweeps()
      await tools[Symbol.asyncDispose]()
      await durable[Symbol.asyncDispose]()
      await services[Symbol.asyncDispose]()
    },
  }
}

type Parts = {
  readonly services: Services
  readonly durable: Durable
  readonly config: Config
  readonly tools: ToolUpstreams
  readonly classes: RoutesDeps['classes']
}

async function routeDeps({ services, durable, config, tools, classes }: Parts): Promise<RoutesDeps> {
  const { pool, keys, members, epochs, pipeline, bus, events, metrics, clock, publicUrl, seal, transcripts } = services
  const agents = await readAgents()
  const prices = await readPrices(config.model.kind)
  const development = config.environment === 'development'
  const login = createLogin({ pool, keys, members, events, clock, publicUrl })
  return {
    ...{
      pool,
      keys,
      seal,
      events,
      clock,
      publicUrl,
      prices,
      durable,
      bus,
      transcripts,
      idleCloseMinutes: config.sessionIdleCloseMinutes,
      pipeline,
      metrics,
      epochs,
      resolveModel,
      doors: createLanes({ width: turnDoorsPerWallet, waitMs: turnDoorWaitMs }),
      version,
    },
    environment: config.environment,
    login,
    links: development ? createSignInLinks({ pool, login, members, clock }) : undefined,
    faucet: development,
    temporalUiUrl: config.temporal.uiUrl,
    refreshEpochs: epochs.refresh,
    ...{ policy: services.policy, classes, compile: compilePolicyText, parseTable: parsePolicyTests },
    policyState: () => stateOfPolicies(services),
    codec: payloadCodecOf(seal),
    catalogue: createAgentCatalogue({ pool, agents, prices, resolveModel, listTools: tools.list }),
  }
}

// What this process decides by comes first; a file that nobody took is the next thing to mend.
function stateOfPolicies({ policy, policyFiles }: Services): ReturnType<HealthDeps['policyState']> {
  const state = policy.state()
  return state === 'ok' && policyFiles.faults().length > 0 ? 'file-refused' : state
}

function startSweeps({ pool, quota, clock }: Services, log: Logger): () => Promise<void> {
  const onFault = (error: Error) => log.warn({ err: error }, 'a sweep failed')
  const turns = createTurnSweep({ pool, quota, onFault })
  const timer = setInterval(
    () => void sweepIdentity(pool, clock()).catch((error: unknown) => onFault(toError(error))),
    sweepMs,
  )
  timer.unref()
  return async () => {
    clearInterval(timer)
    await turns[Symbol.asyncDispose]()
  }
}
