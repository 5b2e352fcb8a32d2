// The doors of identity on a real database, over HTTP: keys, members, revocations, sign-in. The clock is the suite's.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { generatePrivateKey, privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'
import { createApp, type AppDeps } from '../../api/app.ts'
import { doorFacts } from '../../api/context.ts'
import type { Route } from '../../api/route.ts'
import { createSeal } from '../../crypto/seal.ts'
import { createListener, type Pool } from '../../db/pool.ts'
import type { Role } from '../../domain/principal.ts'
import { createAuthenticator, type Authenticate } from '../../gateway/authenticate.ts'
import { createEpochs, type LiveEpochs } from '../../gateway/epochs.ts'
import { createIdempotency } from '../../gateway/idempotency.ts'
import { createLogin, type Issued, type Login } from '../../gateway/login.ts'
import { createSignInLinks } from '../../gateway/sign-in-link.ts'
import { createSigningKeys, type SigningKeys } from '../../gateway/signing-keys.ts'
import { createEvents } from '../../telemetry/events.ts'
import { createLogger } from '../../telemetry/log.ts'
import { createMetrics } from '../../telemetry/metrics.ts'
import { createTestDatabase } from './database.ts'
import { everyRoute } from './every-route.ts'

export type CallOptions = {
  /** Text goes out as it is, anything else as JSON. */
  readonly body?: unknown
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
}

export type IdentityRig = AsyncDisposable & {
  readonly base: string
  readonly host: string
  readonly pool: Pool
  readonly keys: SigningKeys
  readonly epochs: LiveEpochs
  readonly login: Login
  readonly authenticate: Authenticate
  /** Memberships by lower-case address; others are their own tenants. */
  readonly members: Map<string, { tenant: string; roles: readonly Role[] }>
  /** Lines that the application wrote. */
  readonly log: string[]
  readonly routes: readonly Route[]
  /** Set by a suite that lives at another time. */
  clock: () => Date
  isTemporalUp: boolean
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Response>
  /** Sends bytes, answers bytes: for requests that no client would make. */
  readonly raw: (bytes: string) => Promise<string>
  /** Gives everybody a full bucket. */
  readonly forgetRates: () => Promise<void>
  /** Signs a new wallet in by challenge. */
  readonly signIn: (account?: PrivateKeyAccount) => Promise<Issued & { readonly account: PrivateKeyAccount }>
}

export type IdentityRigOptions = {
  /** Mounted beside the real routes. */
  readonly routes?: readonly Route[]
  /** Proxies in front that append to X-Forwarded-For. */
  readonly proxies?: number
  readonly app?: Partial<Pick<AppDeps, 'checkReplies' | 'authenticate'>>
}

export const temporalUiUrl = 'http://127.0.0.1:8233'

export async function createIdentityRig(options: IdentityRigOptions = {}): Promise<IdentityRig> {
  const database = await createTestDatabase()
  const { pool } = database
  const lines: string[] = []
  const log = createLogger({ level: 'debug', name: 'test', destination: { write: (line) => lines.push(line) } })
  const metrics = createMetrics()
  const events = createEvents(log, metrics)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const host = `127.0.0.1:${port}`
  const publicUrl = `http://${host}`
  const members: IdentityRig['members'] = new Map()
  const clock = () => rig.clock()
  const seal = createSeal(randomBytes(32))
  const keys = await createSigningKeys({ pool, seal, clock })
  const epochs = await createEpochs({ pool, listener: () => createListener(database.url), log })
  const membersPort = {
    of: (wallet: string) => members.get(wallet) ?? { tenant: wallet, roles: ['owner'] as const },
  }
  const shared = { pool, keys, members: membersPort, events, clock, publicUrl }
  const login = createLogin(shared)
  const authenticate = createAuthenticator({ ...shared, epochs })
  const links = createSignInLinks({ ...shared, login })
  const routes = [
    ...everyRoute({
      policyState: () => 'ok',
      ...{ pool, keys, events, clock, publicUrl, login, links, metrics, temporalUiUrl, epochs },
      refreshEpochs: epochs.refresh,
      version: '0.0.0',
      environment: 'development',
      durable: { isReady: async () => rig.isTemporalUp } as never,
    }),
    ...(options.routes ?? []),
  ]
  server.on(
    'request',
    createApp({
      ...{ routes, authenticate, log, metrics },
      idempotency: createIdempotency({ pool, seal }),
      door: doorFacts({ publicUrl, port, temporalUiUrl, proxies: options.proxies ?? 0 }),
      checkReplies: true,
      trace: (_name, _ids, work) => work(() => undefined),
      ...options.app,
    }),
  )
  const call: IdentityRig['call'] = (method, path, { body, token, headers } = {}) =>
    fetch(`${publicUrl}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  const rig: IdentityRig = {
    ...{ base: publicUrl, host, pool, keys, epochs, login, authenticate, members, routes, call, log: lines },
    clock: () => new Date(),
    isTemporalUp: true,
    raw: (bytes) => exchange(port, bytes),
    forgetRates: async () => void (await pool.query('DELETE FROM rate_bucket')),
    async signIn(account = privateKeyToAccount(generatePrivateKey())) {
      const address = account.address.toLowerCase()
      const { nonce, message } = await login.challenge({ address, browser: undefined })
      const signature = await account.signMessage({ message })
      return { account, ...(await login.verify({ address, signature, nonce, browser: undefined })) }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await epochs[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
  return rig
}

function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let reply = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.setEncoding('utf8')
    socket.setTimeout(2_000, () => socket.destroy())
    socket.on('data', (text: string) => (reply += text))
    socket.on('error', reject)
    socket.on('close', () => resolve(reply))
  })
}

/** The unsigned facts of a request for a wallet token. */
export function tokenOrder(account: PrivateKeyAccount, days = 1) {
  return {
    address: account.address.toLowerCase(),
    expiresAt: new Date(Date.now() + days * 86_400_000),
    permissions: [] as string[],
    serverId: undefined as string | undefined,
  }
}

/** Has a wallet sign a token and the installation hand it out. */
export async function issueWalletToken(
  { login }: Pick<IdentityRig, 'login'>,
  account: PrivateKeyAccount,
  changes: Partial<ReturnType<typeof tokenOrder>> = {},
): Promise<string> {
  const order = { ...tokenOrder(account), ...changes }
  const signature = await account.signMessage({ message: await login.tokenMessage(order) })
  return (await login.createToken({ ...order, signature })).token
}
