// The API of one process, assembled: services, routes, application, and the sweeps that only APIs run.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createApp } from '../api/app.ts'
import { doorFacts } from '../api/context.ts'
import { allRoutes, type RouteDeps } from '../api/routes.ts'
import { createDurable, type Durable } from '../clients/durable.ts'
import { createToolUpstreams } from '../clients/tools.ts'
import { resolveModel } from '../config/prices.ts'
import type { Config } from '../config/load.ts'
import { sweepIdentity } from '../db/identity.ts'
import { dropClosedStreams } from '../db/stream.ts'
import { toError } from '../domain/errors.ts'
import { headerBytesMax, streamRetentionMs } from '../domain/limits.ts'
import { createAuthenticator } from '../gateway/authenticate.ts'
import { createLogin } from '../gateway/login.ts'
import { createToolOffer } from '../gateway/tool-offer.ts'
import { sweepTurns } from '../gateway/turn-sweep.ts'
import type { Logger } from '../telemetry/log.ts'
import { readAgents, readPrices, readToolCatalogue } from './files.ts'
import { assemble, type Services } from './services.ts'
import { dataConverterOf, payloadCodecOf } from './temporal.ts'

export type ApiServer = AsyncDisposable & { readonly url: string }

const sweepMs = 10_000
const closeMs = 5_000
const version = '0.1.0'

/** Starts the API on loopback. */
export async function startApi({ config, log }: { config: Config; log: Logger }): Promise<ApiServer> {
  const address = config.temporal.address
  if (address === undefined) throw new Error('TEMPORAL_ADDRESS is not set; `npm start` sets it.')
  const services = await assemble({ config, log, name: 'api' })
  const durable = createDurable({
    address,
    namespace: config.temporal.namespace,
    client: { dataConverter: dataConverterOf(services.seal) },
  })
  const catalogue = await readToolCatalogue(config.toolsUrl)
  const environment = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LANG: 'C.UTF-8', TZ: 'UTC' }
  const tools = createToolUpstreams({ servers: catalogue.servers, environment, log })
  const offer = createToolOffer({ tools, classes: catalogue.classes, policy: services.policy, log })
  const routes = allRoutes(await routeDeps({ services, durable, config, log, offer }))
  const app = createApp({
    routes,
    door: doorFacts({ publicUrl: services.publicUrl, port: config.port, temporalUiUrl: config.temporal.uiUrl }),
    authenticate: createAuthenticator(services),
    checkReplies: config.environment !== 'production',
    trace: (_name, _ids, work) => work(),
    log,
    metrics: services.metrics,
  })
  const server = createServer({ maxHeaderSize: headerBytesMax, requestTimeout: 60_000, headersTimeout: 20_000 }, app)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(config.port, '127.0.0.1', resolve))
  const stopSweeps = startSweeps(services, log)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      stopSweeps()
      await closeServer(server)
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
  readonly log: Logger
  readonly offer: ReturnType<typeof createToolOffer>
}

async function routeDeps({ services, durable, config, log, offer }: Parts): Promise<RouteDeps> {
  const { pool, keys, members, epochs, pipeline, bus, events, metrics, clock, publicUrl, seal } = services
  const agents = await readAgents()
  const prices = await readPrices(config.model.kind)
  const development = config.environment === 'development'
  return {
    ...{ pool, keys, events, clock, publicUrl, agents, prices, durable, bus, pipeline, metrics, resolveModel, version },
    environment: config.environment,
    login: createLogin({ pool, keys, members, events, clock, publicUrl }),
    links: development,
    faucet: development,
    temporalUiUrl: config.temporal.uiUrl,
    refreshEpochs: epochs.refresh,
    door: { pool, pipeline, durable, prices, resolveModel, events, clock },
    codec: payloadCodecOf(seal),
    toolsOf: async (agent) => {
      const known = await Promise.all(agent.servers.map((server) => offer.listed(server).catch(() => [])))
      return known.flat().map(({ server, name, description }) => ({ name: `${server}__${name}`, description }))
    },
    checks: {
      database: () =>
        pool
          .query('SELECT 1')
          .then(() => true)
          .catch((error: unknown) => (log.warn({ err: toError(error) }, 'the database does not answer'), false)),
      temporal: durable.isReady,
      revocationFeed: epochs.isFresh,
    },
  }
}

function startSweeps({ pool, clock }: Services, log: Logger): () => void {
  const sweep = async () => {
    await sweepTurns(pool)
    await dropClosedStreams(pool, new Date(clock().getTime() - streamRetentionMs))
    await sweepIdentity(pool, clock())
  }
  const timer = setInterval(
    () => void sweep().catch((error: unknown) => log.warn({ err: toError(error) }, 'a sweep failed')),
    sweepMs,
  )
  timer.unref()
  return () => clearInterval(timer)
}

// Streams resume elsewhere: they are given a moment, then cut.
async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), Math.min(closeMs, 1_000))
  await closed
  clearTimeout(timer)
}
