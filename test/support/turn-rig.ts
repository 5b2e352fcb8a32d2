// Activities of a turn on a real database and a real pipeline; only the model and the tool servers are scripted.
import { randomBytes, randomUUID } from 'node:crypto'
import type { ActivityDeps, CrashPoint } from '../../activities/deps.ts'
import { endLostTurns } from '../../activities/lost-turns.ts'
import { createModelActivities } from '../../activities/model.ts'
import { createToolActivities } from '../../activities/tool.ts'
import { createTurnActivities } from '../../activities/turn.ts'
import type { ModelCallOptions } from '../../clients/models.ts'
import type { ToolOrder } from '../../clients/tools.ts'
import { createSeal } from '../../crypto/seal.ts'
import { turnHoldId } from '../../crypto/turn-ids.ts'
import { insertNode, openWallet } from '../../db/identity.ts'
import { createListener } from '../../db/pool.ts'
import { createTokenBus } from '../../db/token-bus.ts'
import { inTransaction } from '../../db/transaction.ts'
import { beginTurn } from '../../db/turn.ts'
import { turnQueueMax } from '../../domain/limits.ts'
import { scopeName } from '../../domain/revocation.ts'
import type { EffectClass } from '../../domain/tool.ts'
import { createEpochs } from '../../gateway/epochs.ts'
import { createMemoryQuota } from '../../gateway/quota-memory.ts'
import { createPipeline } from '../../gateway/pipeline.ts'
import { sealBus } from '../../gateway/sealed-bus.ts'
import type { Transcripts } from '../../gateway/transcripts.ts'
import { createSigningKeys } from '../../gateway/signing-keys.ts'
import { createToolOffer } from '../../gateway/tool-offer.ts'
import type { ModelEvent, ModelRequest } from '../../schemas/model.ts'
import type { ToolOutcome } from '../../schemas/tool.ts'
import { createEvents } from '../../telemetry/events.ts'
import { createLogger } from '../../telemetry/log.ts'
import { createMetrics } from '../../telemetry/metrics.ts'
import { createTracing, type Tracing } from '../../telemetry/tracing.ts'
import { readAgents, readPrices } from '../../workers/files.ts'
import type { SessionLabels } from '../../workflows/contract.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'
import { readDefaultPolicy } from './default-policy.ts'
import { openTestEvidence } from './evidence.ts'
import { connectLedgerFacts, type LedgerFacts } from './ledger-facts.ts'
import { derivedTranscripts } from './transcripts.ts'

export type ModelScript = (request: ModelRequest, options: ModelCallOptions) => AsyncIterable<ModelEvent>
export type ToolScript = (order: ToolOrder) => Promise<ToolOutcome>

export type OpenedTurn = {
  readonly sessionId: string
  readonly turnId: string
  readonly wallet: string
  readonly labels: SessionLabels
}

export type Said = { readonly content: unknown; readonly stop_reason: string | null }

export type TurnRig = AsyncDisposable & {
  readonly database: TestDatabase
  readonly ledger: LedgerFacts
  readonly activities: ReturnType<typeof createModelActivities> &
    ReturnType<typeof createToolActivities> &
    ReturnType<typeof createTurnActivities>
  /** Replaced by each test. */
  model: ModelScript
  tool: ToolScript
  crash: (name: CrashPoint) => void
  /** What Temporal says of a turn. */
  carries: ActivityDeps['carriesTurn']
  readonly endLostTurns: () => Promise<void>
  /** A wallet with money, a session, and a turn as the door leaves it. */
  readonly openTurn: (message: string, options?: { funds?: bigint; hold?: bigint }) => Promise<OpenedTurn>
  readonly nextTurn: (turn: OpenedTurn, message: string) => Promise<OpenedTurn>
  readonly events: (turnId: string) => Promise<{ kind: string; body: unknown }[]>
  /** Messages of a kind, opened, in order of their steps. */
  readonly messages: (turnId: string, kind: string) => Promise<Said[]>
}

const classes: Readonly<Record<string, EffectClass>> = { 'everything/get-sum': 'read', 'workbench/write_note': 'write' }
const listed = ['everything/get-sum', 'workbench/write_note', 'workbench/delete_note']
export const holdMicros = 50_000n

export async function createTurnRig({
  tracing = createTracing({ name: 'test' }),
  masterKey = randomBytes(32),
}: { readonly tracing?: Tracing; readonly masterKey?: Uint8Array } = {}): Promise<TurnRig> {
  const database = await createTestDatabase()
  const { pool } = database
  const log = createLogger({ level: 'silent', name: 'test' })
  const listener = () => createListener(database.url)
  const clock = () => new Date()
  const epochs = await createEpochs({ pool, listener, log })
  const keys = await createSigningKeys({ pool, seal: createSeal(masterKey), clock })
  const evidence = await openTestEvidence({ pool, url: database.url, keys, log })
  const policySet = await readDefaultPolicy()
  const policy = { current: () => policySet }
  const members = { of: (wallet: string) => ({ tenant: wallet, roles: ['owner'] as const }) }
  const events = createEvents(log, createMetrics())
  const quota = createMemoryQuota()
  const pipeline = createPipeline({ pool, epochs, policy, evidence, quota, events, spanIds: tracing.spanIds })
  const plainBus = createTokenBus({ pool, listener, onFault: () => undefined })
  const transcripts = derivedTranscripts(pool, masterKey)
  const bus = sealBus(plainBus, transcripts)
  const ledger = await connectLedgerFacts(database.url)
  const tools = {
    servers: () => ['everything', 'workbench'],
    list: async (server: string) =>
      listed
        .filter((name) => name.startsWith(`${server}/`))
        .map((name) => ({ server, name: name.split('/')[1] ?? '', description: name, inputSchema: {}, hints: {} })),
    call: (order: ToolOrder) => rig.tool(order),
    [Symbol.asyncDispose]: async () => undefined,
  }
  const deps: ActivityDeps = {
    pool,
    pipeline,
    members,
    bus,
    transcripts,
    tools,
    events,
    tracing,
    model: { stream: (request, options) => rig.model(request, options) },
    offer: createToolOffer({ tools, classes, policy, log }),
    agents: await readAgents(),
    prices: await readPrices(),
    carriesTurn: (turn) => rig.carries(turn),
    crashPoint: (name) => rig.crash(name),
    today: () => '2026-11-24',
  }
  const begin = (turn: OpenedTurn, message: string, hold = holdMicros) =>
    beginRow({ database, transcripts }, { turn, message, hold })
  const rig: TurnRig = {
    database,
    ledger,
    activities: { ...createModelActivities(deps), ...createToolActivities(deps), ...createTurnActivities(deps) },
    model: () => {
      throw new Error('This test calls no model.')
    },
    tool: () => Promise.reject(new Error('This test calls no tool.')),
    crash: () => undefined,
    carries: async () => true,
    endLostTurns: () => endLostTurns(deps),
    async openTurn(message, { funds = 1_000_000n, hold = holdMicros } = {}) {
      const turn = await openSession(database, ledger, funds)
      await begin(turn, message, hold)
      return turn
    },
    async nextTurn(before, message) {
      const turn = { ...before, turnId: randomUUID() }
      await begin(turn, message)
      return turn
    },
    events: async (turnId) =>
      [...(await bus.read(`turn:${turnId}`, 0n, 500))].map(({ kind, body }) => ({ kind, body })),
    messages: async (turnId, kind) => {
      const vault = await transcripts.ofTurn(turnId)
      const rows = await ledger.query(
        'SELECT turn_id AS "turnId", kind, step, position, content, stop_reason FROM message WHERE turn_id = $1 AND kind = $2 ORDER BY step',
        [turnId, kind],
      )
      return rows.map((row) => ({
        content: vault.openMessage(row as never),
        stop_reason: row['stop_reason'] as string,
      }))
    },
    async [Symbol.asyncDispose]() {
      await plainBus[Symbol.asyncDispose]()
      await evidence[Symbol.asyncDispose]()
      await epochs[Symbol.asyncDispose]()
      await ledger[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
  return rig
}

async function openSession({ pool }: TestDatabase, ledger: LedgerFacts, funds: bigint): Promise<OpenedTurn> {
  const wallet = `0x${randomBytes(20).toString('hex')}`
  const walletId = await openWallet(pool, wallet)
  if (funds > 0n) await ledger.fund(wallet, funds)
  const node = { tenant: wallet, walletId, subject: wallet, expiresAt: null }
  const ids = { usid: randomUUID(), wsid: randomUUID(), asid: randomUUID() }
  await insertNode(pool, { ...node, id: ids.usid, kind: 'usid', parentId: null })
  await insertNode(pool, { ...node, id: ids.wsid, kind: 'wsid', parentId: ids.usid })
  await insertNode(pool, { ...node, id: ids.asid, kind: 'asid', parentId: ids.wsid })
  const sessionId = randomUUID()
  await pool.query(
    `INSERT INTO chat_session (id, wallet_id, tenant, agent_id, model, engine, wsid, asid) VALUES ($1, $2, $3, 'assistant', 'scripted-1', 'api', $4, $5)`,
    [sessionId, walletId, wallet, ids.wsid, ids.asid],
  )
  const labels = {
    sessionId,
    tenantId: 't1',
    walletId: walletId.toString(),
    agentId: 'assistant',
    stepsMax: 50,
    revocationScopes: ['global:all'],
  }
  return { sessionId, turnId: randomUUID(), wallet, labels }
}

type Begin = { readonly database: TestDatabase; readonly transcripts: Transcripts }
type Row = { readonly turn: OpenedTurn; readonly message: string; readonly hold: bigint }

async function beginRow({ database: { pool }, transcripts }: Begin, { turn, message, hold }: Row): Promise<void> {
  const { rows } = await pool.query('SELECT wsid, asid FROM chat_session WHERE id = $1', [turn.sessionId])
  const { turnId, wallet, labels, sessionId } = turn
  const gate = [{ scope: scopeName('wallet', wallet), epoch: 0 }]
  const admission = {
    tenant: wallet,
    subject: { kind: 'human', id: wallet },
    wallet,
    walletId: labels.walletId,
    permissions: ['*:*'],
    proof: { kind: 'none' },
    assurance: 1,
    sessionIds: { usid: 'u', wsid: rows[0].wsid, asid: rows[0].asid },
    gate,
    tokenId: 'token',
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
  }
  const vault = await transcripts.ofSession(sessionId)
  const place = { turnId, kind: 'user', step: 0, position: 0 } as const
  const sealed = vault.sealMessage(place, [{ type: 'text', text: message }])
  const reply = await inTransaction(pool, (client) =>
    beginTurn(client, {
      turn: {
        id: turnId,
        try: 1,
        sessionId,
        walletId: labels.walletId,
        model: 'scripted-1',
        admission,
        message: sealed.content,
        messageBytes: sealed.bytes,
        messageImages: sealed.images,
        preview: vault.sealPreview(message).toString('base64'),
      },
      scopes: gate.map(({ scope }) => scope),
      epochs: gate.map(({ epoch }) => epoch),
      hold: {
        id: turnHoldId({ turnId, try: 1, step: 1, n: 0 }),
        revenue: 2,
        amount: hold.toString(),
        code: 10,
        agentId: 'assistant',
        workflowId: `${turnId}:1`,
        meta: {},
      },
      queueMax: turnQueueMax,
    }),
  )
  if (reply.answer !== 'ok') throw new Error(`Beginning a turn answered ${reply.answer}.`)
}

/** Streams a text word by word, with usage as a vendor tells it. */
export async function* say(text: string, usage = { inputTokens: 100, outputTokens: 20 }): AsyncGenerator<ModelEvent> {
  const none = { cacheReadTokens: 0, cacheWrite5mTokens: 0, cacheWrite1hTokens: 0 }
  yield { type: 'usage', usage: { ...none, inputTokens: usage.inputTokens, outputTokens: 1 } }
  for (const word of text.split(/(?<= )/)) yield { type: 'text', text: word }
  yield { type: 'usage', usage: { ...none, ...usage } }
  yield { type: 'stop', reason: 'end_turn', model: 'scripted-1' }
}

/** Asks for tools. */
export async function* ask(
  calls: readonly { readonly id: string; readonly name: string; readonly input: unknown }[],
): AsyncGenerator<ModelEvent> {
  yield { type: 'usage', usage: usageOf(50, 10) }
  for (const call of calls) yield { type: 'tool_use', ...call }
  yield { type: 'stop', reason: 'tool_use', model: 'scripted-1' }
}

export const usageOf = (inputTokens: number, outputTokens: number) => ({
  inputTokens,
  outputTokens,
  cacheReadTokens: 0,
  cacheWrite5mTokens: 0,
  cacheWrite1hTokens: 0,
})
