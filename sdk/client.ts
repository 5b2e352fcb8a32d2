// The client of a Gatehouse. Sign in with a wallet, talk to agents, read the bill; runs in Node and in browsers.
import { clientRetryWaitsMs } from '../domain/limits.ts'
import { createAudit } from './audit.ts'
import {
  signInByChallenge,
  signWalletToken,
  tokenIdOf,
  type Credential,
  type Signer,
  type WalletTokenRequest,
} from './auth.ts'
import {
  sessionPath,
  startChat,
  watchTurn,
  type ChatDeps,
  type ChatOptions,
  type ChatStream,
  type WatchOptions,
} from './chat.ts'
import { GatehouseError } from './errors.ts'
import { createTransport, type Fetch, type Transport } from './http.ts'
import { createPolicies } from './policies.ts'
import { createAgents, createResolver, createSessions, createWallet, type SessionName } from './resources.ts'
import * as shapes from './shapes.ts'
import { z } from 'zod'

export { openAuditKeys } from '../crypto/portable/audit-keys.ts'
export { deliver, DeliveryFault, type Delivered, type Delivery } from './audit-delivery.ts'
export { ocsfCollector, presignedStore } from './audit-sinks.ts'
export { verifyExport, type FileVerdict } from './audit-file.ts'
export { linesOf } from './lines.ts'
export { GatehouseError } from './errors.ts'
export { formatMicros } from './shapes.ts'
export { createAnswer, type Answer } from './answer.ts'
export type { AuditFilter, ExportRequest } from './audit.ts'
export type { Credential, Signer, WalletTokenRequest } from './auth.ts'
export type { ChatOptions, ChatStream, Image, SessionRef, WatchOptions } from './chat.ts'
export type { ChatEvent } from './events.ts'
export type { Fetch } from './http.ts'
export type { History, Page, SessionName } from './resources.ts'
export type {
  PolicyChanged,
  PolicyDetail,
  PolicyExplanation,
  PolicyQuestion,
  PolicySummary,
  PolicyTested,
  PolicyText,
  PolicyValidation,
  PolicyVersion,
} from './policies.ts'
export type { ScopeChange } from './wallet-parts.ts'
export type {
  Agent,
  AgentDefinition,
  AgentRequirements,
  AgentSummary,
  Balance,
  CustomAgent,
  Faucet,
  Link,
  Message,
  OwnAgent,
  Revoked,
  RuntimeScope,
  SavedAgent,
  Session,
  SessionSummary,
  Transaction,
  TransactionPage,
} from './shapes.ts'

export type ClientOptions = {
  /** Where the Gatehouse answers, such as `http://127.0.0.1:4300`. */
  readonly baseUrl: string
  /** A token of an earlier sign-in. */
  readonly token?: string | undefined
  readonly fetch?: Fetch
  /** Waits between tries of a chat whose server cannot be reached; as many tries as waits. */
  readonly retryWaitsMs?: readonly number[]
}

/** An aborted signal gives up waiting; whether the turn ends is then open. */
export type CancelOptions = { readonly signal?: AbortSignal | undefined }

export type RevokeRequest = { readonly tokenId: string } | { readonly all: true }

export type Client = ReturnType<typeof createClient>

/**
 * Makes a client. It remembers the token of the last sign-in and nothing else.
 *
 * @example
 * const client = createClient({ baseUrl: 'http://127.0.0.1:4300' })
 * await client.auth.login(signer)
 * const session = await client.sessions.create('assistant')
 * for await (const event of client.chat(session, 'add 2 and 40 with the tool')) {
 *   if (event.type === 'text') show(event.data)
 *   if (event.type === 'done') show(event.data.cost)
 * }
 */
export function createClient(options: ClientOptions) {
  const baseUrl = options.baseUrl.replace(/\/+$/, '')
  let token = options.token
  const transport = createTransport({ baseUrl, fetch: options.fetch ?? fetch, token: () => token })
  const anonymous = createTransport({ baseUrl, fetch: options.fetch ?? fetch, token: () => undefined })
  const chatDeps: ChatDeps = { transport, waitsMs: options.retryWaitsMs ?? clientRetryWaitsMs }
  const keep = (credential: Credential): Credential => {
    token = credential.token
    return credential
  }
  const agentOf = createResolver(transport)
  return {
    baseUrl,
    auth: createAuth({ transport: anonymous, baseUrl, keep }),
    agents: createAgents(transport),
    sessions: createSessions(transport, agentOf),
    wallet: createWallet(transport),
    policies: createPolicies(transport),
    audit: createAudit(transport),
    /**
     * Sends a message and reads the answer as it is written. A cut connection is taken up again, and a re-send under
     * the same key never pays twice.
     *
     * @example
     * const stream = client.chat(session, 'hello')
     * for await (const event of stream) if (event.type === 'text') show(event.data)
     */
    chat: (session: SessionName, message: string, chatOptions: ChatOptions = {}): ChatStream =>
      startChat(chatDeps, () => agentOf(session), { message, options: chatOptions }),
    /**
     * Reads a turn that is running or has just ended.
     *
     * @example
     * for await (const event of client.watch(session, turnId)) show(event)
     */
    watch: (session: SessionName, turnId: string, watchOptions: WatchOptions = {}): ChatStream =>
      watchTurn(chatDeps, () => agentOf(session), { turnId, options: watchOptions }),
    /**
     * Ends a turn. What it has used so far is charged.
     *
     * @example
     * await client.cancel(session, stream.turnId)
     */
    cancel: async (session: SessionName, turnId: string, { signal }: CancelOptions = {}): Promise<void> => {
      const path = `${sessionPath(await agentOf(session))}/turns/${encodeURIComponent(turnId)}/cancel`
      await transport.call({ method: 'POST', path, body: {}, signal }, z.unknown())
    },
    /**
     * The whole result of a tool of which the turn's event told `wholeBytes` and the beginning.
     *
     * @example
     * if (event.data.wholeBytes) save(await client.toolResult(session, turnId, event.data.id))
     */
    toolResult: async (session: SessionName, turnId: string, callId: string): Promise<string> => {
      const turn = `${sessionPath(await agentOf(session))}/turns/${encodeURIComponent(turnId)}`
      const path = `${turn}/results/${encodeURIComponent(callId)}`
      return (await transport.call({ method: 'GET', path }, z.object({ result: z.string() }))).result
    },
    /**
     * A one-time address that signs a browser in as this wallet; in development only.
     *
     * @example
     * const { url } = await client.link()
     */
    link: (): Promise<shapes.Link> => transport.call({ method: 'POST', path: '/auth/link', body: {} }, shapes.Link),
    /**
     * Ends the current token, another one of this wallet, or everything signed so far.
     *
     * @example
     * await client.revoke({ all: true })
     */
    revoke: async (request?: RevokeRequest): Promise<shapes.Revoked> => {
      const body = request ?? { tokenId: await tokenIdOf(held(token)) }
      return transport.call({ method: 'POST', path: '/api/auth/revoke', body }, shapes.Revoked)
    },
    /**
     * Whether the server serves.
     *
     * @example
     * await client.health()
     */
    health: () => transport.call({ method: 'GET', path: '/health' }, z.looseObject({})),
  }
}

function held(token: string | undefined): string {
  if (token !== undefined) return token
  throw new GatehouseError('There is no token: sign in first.', { status: 401, code: 'NO_IDENTITY_FOUND' })
}

type AuthFacts = {
  readonly transport: Transport
  readonly baseUrl: string
  readonly keep: (credential: Credential) => Credential
}

function createAuth({ transport, baseUrl, keep }: AuthFacts) {
  return {
    /**
     * Signs a challenge; the client holds the session token of 24 hours from then on.
     *
     * @example
     * const { walletAddress } = await client.auth.login(signer)
     */
    login: async (signer: Signer): Promise<Credential> => keep(await signInByChallenge(transport, baseUrl, signer)),
    /**
     * Signs a wallet token, which may be confined and lives up to 30 days; the client holds it from then on.
     *
     * @example
     * await client.auth.createWalletToken(signer, { expiresAt: tomorrow, permissions: ['chat:*', 'wallet:read'] })
     */
    createWalletToken: async (signer: Signer, request: WalletTokenRequest): Promise<Credential> =>
      keep(await signWalletToken(transport, baseUrl, { signer, request })),
  }
}
