// The doors of chat on a real database, pipeline and token bus, served over HTTP. Only Temporal is played: the suite says
// how a submitted turn is answered, and runs the turn itself where it wants one to run.
import { randomBytes, randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createApp } from '../../api/app.ts'
import { doorFacts } from '../../api/context.ts'
import { createAgentRoutes } from '../../api/agents.ts'
import { createBudgetRoutes } from '../../api/budgets.ts'
import { createChatRoutes } from '../../api/chat.ts'
import { createCodecRoutes } from '../../api/codec.ts'
import { createRuntimeScopeRoutes } from '../../api/runtime-scopes.ts'
import { createSessionRoutes } from '../../api/sessions.ts'
import { createWalletRoutes } from '../../api/wallet.ts'
import type { Submitted, SubmitOrder } from '../../clients/durable.ts'
import type { Agent } from '../../config/agents.ts'
import { offeredPrices, resolveModel } from '../../config/prices.ts'
import { createPayloadCodec } from '../../crypto/payload-codec.ts'
import { createSeal } from '../../crypto/seal.ts'
import type { SessionRow } from '../../db/chat-session.ts'
import { insertNode, openWallet } from '../../db/identity.ts'
import { createListener, createPool, type Pool } from '../../db/pool.ts'
import { createPostgresQuota } from '../../db/quota.ts'
import { createTokenBus } from '../../db/token-bus.ts'
import { GatewayError } from '../../domain/errors.ts'
import type { Principal } from '../../domain/principal.ts'
import { scopeName } from '../../domain/revocation.ts'
import { createAgentCatalogue } from '../../gateway/agents.ts'
import { createEpochs, type LiveEpochs } from '../../gateway/epochs.ts'
import type { EvidenceKeeper } from '../../gateway/evidence.ts'
import { createIdempotency } from '../../gateway/idempotency.ts'
import { createLanes } from '../../gateway/lanes.ts'
import { createPipeline } from '../../gateway/pipeline.ts'
import { openSession } from '../../gateway/sessions.ts'
import type { TokenBus } from '../../gateway/ports.ts'
import { sealBus } from '../../gateway/sealed-bus.ts'
import type { Transcripts } from '../../gateway/transcripts.ts'
import { createSigningKeys } from '../../gateway/signing-keys.ts'
import { openTurn, type OpenedTurn, type TurnDoorDeps } from '../../gateway/turn-door.ts'
import { createEvents } from '../../telemetry/events.ts'
import { createLogger } from '../../telemetry/log.ts'
import { createMetrics, type Metrics } from '../../telemetry/metrics.ts'
import { readAgents, readPrices } from '../../workers/files.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'
import { readDefaultPolicy } from './default-policy.ts'
import { openTestEvidence } from './evidence.ts'
import { connectLedgerFacts, type LedgerFacts } from './ledger-facts.ts'
import { answer, conclude } from './played-worker.ts'
import { testTranscripts } from './transcripts.ts'

export type Submitting = (order: SubmitOrder) => Promise<Submitted>

export type DoorRig = AsyncDisposable & {
  readonly base: string
  readonly database: TestDatabase
  readonly pool: Pool
  readonly ledger: LedgerFacts
  readonly bus: TokenBus
  readonly transcripts: Transcripts
  readonly epochs: LiveEpochs
  readonly evidence: Pick<EvidenceKeeper, 'drain'>
  readonly metrics: Metrics
  readonly agent: Agent
  readonly door: TurnDoorDeps
  /** How the workflow answers a submitted turn; replaced by each test. */
  submit: Submitting
  readonly submitted: SubmitOrder[]
  readonly told: string[]
  /** What was said of the spans of requests. */
  readonly spanFacts: object[]
  /** Makes messages to workflows fail, as when Temporal is down. */
  temporalDown: boolean
  clock: () => Date
  readonly signIn: (options?: Partial<Principal> & { readonly funds?: bigint }) => Promise<Person>
  readonly openSession: (person: Person) => Promise<SessionRow>
  readonly post: (person: Person, session: SessionRow, said: { message: string; key?: string }) => Promise<OpenedTurn>
  /** Runs a turn to its end as the worker would: words, message row, charge, outcome, last event. */
  readonly answer: (
    session: SessionRow,
    turn: { turnId: string; try: number },
    words: readonly string[],
  ) => Promise<void>
  readonly fail: (turn: { turnId: string; try: number }, code: string) => Promise<void>
}

export type CallOptions = {
  /** Text goes out as it is, anything else as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export type Person = {
  readonly principal: Principal
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Response>
}

export async function createDoorRig(): Promise<DoorRig> {
  const database = await createTestDatabase()
  const pool = createPool({ url: database.url })
  const log = createLogger({ level: 'silent', name: 'test' })
  const listener = () => createListener(database.url)
  const epochs = await createEpochs({ pool, listener, log })
  const seal = createSeal(randomBytes(32))
  const keys = await createSigningKeys({ pool, seal, clock: () => new Date() })
  const evidence = await openTestEvidence({ pool, url: database.url, keys, log })
  const policySet = await readDefaultPolicy()
  const metrics = createMetrics()
  const events = createEvents(log, metrics)
  const policy = { current: () => policySet }
  const quotaPool = createPool({ url: database.url, connectionsMax: 2 })
  const quota = createPostgresQuota(quotaPool)
  const pipeline = createPipeline({ pool, epochs, policy, evidence, quota, events, spanIds: () => null })
  const plainBus = createTokenBus({ pool, listener, onFault: () => undefined })
  const transcripts = testTranscripts(pool)
  const bus = sealBus(plainBus, transcripts)
  const ledger = await connectLedgerFacts(database.url)
  const agents = await readAgents()
  const prices = offeredPrices(await readPrices(), 'scripted')
  const agent = agents.get('assistant')
  if (!agent) throw new Error('The assistant is there.')
  const people = new Map<string, Principal>()
  const tell = async (what: string) => {
    if (rig.temporalDown) throw new Error('Temporal is down.')
    rig.told.push(what)
  }
  const durable = {
    submitTurn: (order: SubmitOrder) => {
      rig.submitted.push(order)
      return rig.submit(order)
    },
    cancelTurn: (_sessionId: string, turnId: string) => tell(`cancel ${turnId}`),
    closeSession: (sessionId: string) => tell(`close ${sessionId}`),
  }
  const listTools = async (server: string) => {
    if (server === 'workbench') throw new Error('This server is down.')
    return [{ name: 'echo', description: 'Says it again.' }]
  }
  const catalogue = createAgentCatalogue({ pool, agents, prices, resolveModel, listTools })
  const clock = () => rig.clock()
  const doors = createLanes({ width: 4, waitMs: 10_000 })
  const parts = { pool, pipeline, durable, prices, resolveModel, doors, events, clock }
  const shared = { ...parts, catalogue, bus, transcripts, epochs }
  const codec = createPayloadCodec([{ id: 'test', key: randomBytes(32) }])
  const routes = [
    ...createAgentRoutes(shared),
    ...createSessionRoutes({ ...shared, sessionsMax: 3 }),
    ...createChatRoutes(shared),
    ...createWalletRoutes({ ...shared, faucet: true }),
    ...createBudgetRoutes(shared),
    ...createRuntimeScopeRoutes(shared),
    ...createCodecRoutes({ codec, pipeline }),
  ]
  const served = await serve(routes, { people, log, metrics, idempotency: createIdempotency({ pool, seal }) })
  const rig: DoorRig = {
    base: served.base,
    database,
    pool,
    ledger,
    bus,
    transcripts,
    epochs,
    evidence,
    metrics,
    agent,
    door: shared,
    submit: async () => ({ kind: 'accepted' }),
    submitted: [],
    told: [],
    spanFacts: served.spanFacts,
    temporalDown: false,
    clock: () => new Date(),
    signIn: (options = {}) => signIn({ pool, ledger, people, base: served.base }, options),
    openSession: ({ principal }) =>
      openSession({ ...shared, sessionsMax: 1_000 }, { principal, agent, model: undefined, engine: undefined }),
    post: ({ principal }, session, { message, key }) =>
      openTurn(shared, {
        principal,
        agent,
        session,
        idempotencyKey: key,
        model: undefined,
        content: [{ type: 'text', text: message }],
      }),
    answer: (session, turn, words) => answer({ pool, bus, transcripts }, { session, turn, words }),
    fail: (turn, code) => conclude({ pool, bus }, turn, { reason: code, status: 'error', code, message: 'It failed.' }),
    async [Symbol.asyncDispose]() {
      await served.stop()
      await plainBus[Symbol.asyncDispose]()
      await evidence[Symbol.asyncDispose]()
      await epochs[Symbol.asyncDispose]()
      await ledger[Symbol.asyncDispose]()
      await quotaPool.end()
      await pool.end()
      await database[Symbol.asyncDispose]()
    },
  }
  return rig
}

type Parts = Pick<Parameters<typeof createApp>[0], 'log' | 'metrics' | 'idempotency'> & {
  readonly people: ReadonlyMap<string, Principal>
}

async function serve(routes: Parameters<typeof createApp>[0]['routes'], { people, ...parts }: Parts) {
  const hosts = new Set<string>()
  const spanFacts: object[] = []
  const temporalUiUrl = 'http://127.0.0.1:8233'
  const door = { ...doorFacts({ publicUrl: 'http://127.0.0.1:1', port: 1, temporalUiUrl, proxies: 0 }), hosts }
  const app = createApp({
    routes,
    door,
    ...parts,
    checkReplies: true,
    trace: (_name, _ids, work) => work((facts) => void spanFacts.push(facts)),
    // Who somebody is was settled elsewhere: here a token is a name, in the header or in the cookie.
    async authenticate({ authorizationHeaders: [header], cookie }) {
      const principal = people.get(header?.replace('Bearer ', '') ?? cookie ?? '')
      if (!principal) throw new GatewayError('credential-missing', 'Nobody is known by this name.')
      return principal
    },
  })
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  hosts.add(host)
  const stop = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { base: `http://${host}`, stop, spanFacts }
}

type Registry = { pool: Pool; ledger: LedgerFacts; people: Map<string, Principal>; base: string }

async function signIn(
  { pool, ledger, people, base }: Registry,
  { funds = 10_000_000n, ...given }: Partial<Principal> & { readonly funds?: bigint },
): Promise<Person> {
  const wallet = `0x${randomBytes(20).toString('hex')}`
  const walletId = await openWallet(pool, wallet)
  if (funds > 0n) await ledger.fund(wallet, funds)
  const usid = randomBytes(16).toString('hex')
  await insertNode(pool, {
    id: usid,
    walletId,
    tenant: wallet,
    subject: wallet,
    kind: 'usid',
    parentId: null,
    expiresAt: null,
  })
  const tokenId = randomUUID()
  const scopes = [scopeName('session', usid), scopeName('token', tokenId), scopeName('wallet', wallet), 'global:all']
  const principal: Principal = {
    tenant: wallet,
    subject: { kind: 'human', id: wallet },
    wallet,
    walletId,
    actorChain: [],
    scopes: [],
    roles: ['owner'],
    permissions: ['*:*'],
    proof: { kind: 'none' },
    assurance: 1,
    sessionIds: { usid },
    gate: scopes.map((scope) => ({ scope, epoch: 0 })),
    tokenId,
    expiresAt: new Date(Date.now() + 3_600_000),
    ...given,
  }
  people.set(tokenId, principal)
  return {
    principal,
    call: (method, path, { body, headers, signal } = {}) =>
      fetch(`${base}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${tokenId}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      }),
  }
}
