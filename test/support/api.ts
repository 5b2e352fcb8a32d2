// The API of a suite: the real application and services on a real database, with Temporal left out (its client is the
// only thing played, because nothing here starts a workflow).
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { createApp } from '../../api/app.ts'
import { doorFacts } from '../../api/context.ts'
import { allRoutes, type RoutesDeps } from '../../api/routes.ts'
import type { Submitted } from '../../clients/durable.ts'
import { resolveModel } from '../../config/prices.ts'
import { createAuthenticator } from '../../gateway/authenticate.ts'
import { createLanes } from '../../gateway/lanes.ts'
import { createLogin } from '../../gateway/login.ts'
import { createSignInLinks } from '../../gateway/sign-in-link.ts'
import { createSeal } from '../../crypto/seal.ts'
import { createListener } from '../../db/pool.ts'
import { createTokenBus } from '../../db/token-bus.ts'
import { createAgentCatalogue } from '../../gateway/agents.ts'
import { createEpochs, type LiveEpochs } from '../../gateway/epochs.ts'
import { createMemoryQuota } from '../../gateway/quota-memory.ts'
import { createIdempotency } from '../../gateway/idempotency.ts'
import { createPipeline } from '../../gateway/pipeline.ts'
import { createPolicies } from '../../gateway/policies.ts'
import { sealBus } from '../../gateway/sealed-bus.ts'
import { createSigningKeys } from '../../gateway/signing-keys.ts'
import { createEvents } from '../../telemetry/events.ts'
import { createLogger } from '../../telemetry/log.ts'
import { createMetrics } from '../../telemetry/metrics.ts'
import { compilePolicyText, parsePolicyTests, readAgents, readPrices } from '../../workers/files.ts'
import { payloadCodecOf } from '../../workers/temporal.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'
import { activateDefaultPolicy } from './default-policy.ts'
import { openTestEvidence } from './evidence.ts'
import { derivedTranscripts } from './transcripts.ts'

export type TestApi = AsyncDisposable & {
  readonly url: string
  readonly database: TestDatabase
  readonly epochs: LiveEpochs
  /** The suite's clock; moves only when told. */
  readonly time: { now: Date }
  /** What Temporal answers to a submitted turn. */
  readonly temporal: { answer: () => Promise<Submitted>; submitted: number }
  readonly roles: Map<string, { tenant: string; roles: ('owner' | 'approver' | 'admin' | 'operator')[] }>
  readonly newWallet: () => ReturnType<typeof privateKeyToAccount>
  readonly tokenOf: (account: ReturnType<typeof privateKeyToAccount>) => Promise<string>
}

export const testMasterKey = Buffer.alloc(32, 7)

/** Starts one on a free port. */
export async function startTestApi(): Promise<TestApi> {
  const database = await createTestDatabase()
  const log = createLogger({ level: 'silent', name: 'test' })
  const time = { now: new Date() }
  const clock = () => time.now
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const { pool } = database
  const seal = createSeal(testMasterKey)
  const keys = await createSigningKeys({ pool, seal, clock })
  const listener = () => createListener(database.url)
  const epochs = await createEpochs({ pool, listener, log })
  const evidence = await openTestEvidence({ pool, url: database.url, keys, log })
  const metrics = createMetrics()
  const events = createEvents(log, metrics)
  const plainBus = createTokenBus({ pool, listener, onFault: () => undefined })
  const transcripts = derivedTranscripts(pool, testMasterKey)
  const bus = sealBus(plainBus, transcripts)
  await activateDefaultPolicy(pool)
  const policy = await createPolicies({ pool, compile: compilePolicyText, listener, log })
  const roles: TestApi['roles'] = new Map()
  const members = { of: (wallet: string) => roles.get(wallet) ?? { tenant: wallet, roles: ['owner' as const] } }
  const quota = createMemoryQuota()
  const pipeline = createPipeline({ pool, epochs, policy, evidence, quota, events, spanIds: () => null })
  const temporal: TestApi['temporal'] = { answer: async () => ({ kind: 'accepted' }), submitted: 0 }
  const durable = {
    submitTurn: () => {
      temporal.submitted += 1
      return temporal.answer()
    },
    cancelTurn: async () => undefined,
    closeSession: async () => undefined,
    isReady: async () => true,
  }
  const prices = await readPrices('scripted')
  const login = createLogin({ pool, keys, members, events, clock, publicUrl: url })
  const deps: RoutesDeps = {
    ...{
      pool,
      keys,
      seal,
      events,
      clock,
      publicUrl: url,
      catalogue: createAgentCatalogue({
        ...{ pool, agents: await readAgents(), prices, resolveModel },
        listTools: async () => [],
      }),
      prices,
      durable,
      epochs,
      bus,
      transcripts,
      pipeline,
      metrics,
      resolveModel,
      doors: createLanes({ width: 4, waitMs: 10_000 }),
    },
    ...{
      version: '0.1.0',
      environment: 'development',
      links: createSignInLinks({ pool, login, members, clock }),
      faucet: true,
      temporalUiUrl: 'http://127.0.0.1:8233',
    },
    login,
    refreshEpochs: epochs.refresh,
    policyState: () => 'ok',
    ...{ policy, classes: {}, compile: compilePolicyText, parseTable: parsePolicyTests },
    codec: payloadCodecOf(seal),
  }
  const door = doorFacts({ publicUrl: url, port, temporalUiUrl: deps.temporalUiUrl, proxies: 0 })
  const authenticate = createAuthenticator({ pool, keys, epochs, members, events, clock, publicUrl: url })
  server.on(
    'request',
    createApp({
      routes: allRoutes(deps),
      door,
      authenticate,
      idempotency: createIdempotency({ pool, seal }),
      checkReplies: true,
      trace: (_name, _ids, work) => work(() => undefined),
      log,
      metrics,
    }),
  )
  const newWallet = () => privateKeyToAccount(generatePrivateKey())
  return {
    ...{ url, database, epochs, time, temporal, roles, newWallet },
    tokenOf: (account) => tokenOf(url, account),
    async [Symbol.asyncDispose]() {
      await closeServer(server)
      await plainBus[Symbol.asyncDispose]()
      await policy[Symbol.asyncDispose]()
      await evidence[Symbol.asyncDispose]()
      await epochs[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(() => resolve()))
}

async function tokenOf(url: string, account: ReturnType<typeof privateKeyToAccount>): Promise<string> {
  const challenge = (await (await fetch(`${url}/auth/challenge?walletAddress=${account.address}`)).json()) as {
    nonce: string
    message: string
  }
  const signature = await account.signMessage({ message: challenge.message })
  const reply = await postJson(`${url}/auth/verify`, {
    walletAddress: account.address,
    nonce: challenge.nonce,
    signature,
  })
  return ((await reply.json()) as { token: string }).token
}

export function postJson(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}
