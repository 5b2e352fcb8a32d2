// A wallet proves itself: challenge and verify, or a signed wallet token. The server renders and stores the message; the
// client sends back a nonce and a signature, never a text that is trusted.
import { randomBytes } from 'node:crypto'
import { signAccessToken } from '../crypto/access-token.ts'
import { loginMessage, tokenMessage } from '../crypto/login-message.ts'
import { recoverSigner } from '../crypto/wallet-signature.ts'
import { encodeWalletToken } from '../crypto/wallet-token.ts'
import {
  consumeChallenge,
  countWrongTry,
  insertAccessToken,
  insertChallenge,
  insertNode,
  openWallet,
  readChallenge,
  readEpoch,
} from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError } from '../domain/errors.ts'
import {
  challengeSecondsMax,
  challengeWrongTriesMax,
  sessionTokenSecondsMax,
  walletTokenSecondsMax,
} from '../domain/limits.ts'
import { scopeName } from '../domain/revocation.ts'
import type { Events } from '../telemetry/events.ts'
import type { Clock, Members } from './ports.ts'
import type { SigningKeys } from './signing-keys.ts'

export type LoginDeps = {
  readonly pool: Pool
  readonly keys: SigningKeys
  readonly members: Members
  readonly events: Events
  readonly clock: Clock
  /** Where this installation is reached; issuer and audience of its tokens. */
  readonly publicUrl: string
}

export type TokenRequest = {
  readonly address: string
  readonly expiresAt: Date
  readonly permissions: readonly string[]
  readonly serverId: string | undefined
}

export type Issued = { readonly token: string; readonly expiresAt: Date; readonly address: string }

export type Login = {
  readonly challenge: (address: string | undefined) => Promise<{ nonce: string; message: string }>
  readonly verify: (proof: { address: string; signature: string; nonce: string }) => Promise<Issued>
  readonly tokenMessage: (request: TokenRequest) => Promise<string>
  readonly createToken: (request: TokenRequest & { signature: string }) => Promise<Issued>
  /** A session token without a proof of its own: for the sign-in link, which the bearer of a token asked for. */
  readonly issueSession: (address: string) => Promise<Issued>
}

export function createLogin(deps: LoginDeps): Login {
  const domain = new URL(deps.publicUrl).host
  const facts = async (request: TokenRequest) => ({
    domain,
    address: request.address,
    expiry: Math.floor(request.expiresAt.getTime() / 1000),
    permissions: request.permissions,
    serverId: request.serverId,
    epoch: await readEpoch(deps.pool, scopeName('wallet', request.address)),
  })
  return {
    async challenge(address) {
      const nonce = randomBytes(16).toString('hex') // 128 bits, alphanumeric as EIP-4361 asks
      const issuedAt = deps.clock()
      const expiresAt = new Date(issuedAt.getTime() + challengeSecondsMax * 1000)
      const message = loginMessage({ domain, uri: deps.publicUrl, nonce, issuedAt, expiresAt, address })
      await insertChallenge(deps.pool, { nonce, address, message, expiresAt })
      deps.events.challengeIssued()
      return { nonce, message }
    },
    async verify({ address, signature, nonce }) {
      await proveChallenge(deps, { address, signature, nonce })
      deps.events.walletSignedIn({ walletId: await openWallet(deps.pool, address), credential: 'challenge' })
      return issueSession(deps, address)
    },
    issueSession: (address) => issueSession(deps, address),
    async tokenMessage(request) {
      checkLife(request.expiresAt, deps.clock())
      return tokenMessage(await facts(request))
    },
    async createToken({ signature, ...request }) {
      checkLife(request.expiresAt, deps.clock())
      const signed = await facts(request)
      const message = tokenMessage(signed)
      if ((await recoverSigner(message, signature)) !== request.address) {
        throw new GatewayError('address-mismatch', 'Another wallet signed this, or another message was signed.')
      }
      deps.events.walletSignedIn({ walletId: await openWallet(deps.pool, request.address), credential: 'wallet-token' })
      return {
        token: encodeWalletToken(payloadOf(deps, { signed, message, signature })),
        expiresAt: new Date(signed.expiry * 1000),
        address: request.address,
      }
    },
  }
}

type Signed = Parameters<typeof tokenMessage>[0]

function payloadOf(
  deps: LoginDeps,
  { signed, message, signature }: { signed: Signed; message: string; signature: string },
) {
  return {
    sub: signed.address,
    wallet: signed.address,
    iss: deps.publicUrl,
    iat: Math.floor(deps.clock().getTime() / 1000),
    exp: signed.expiry,
    expiry: signed.expiry,
    permissions: [...signed.permissions],
    ...(signed.serverId === undefined ? {} : { server_id: signed.serverId }),
    epoch: signed.epoch,
    message,
    signature,
  }
}

async function proveChallenge(
  deps: LoginDeps,
  { address, signature, nonce }: { address: string; signature: string; nonce: string },
): Promise<void> {
  const now = deps.clock()
  const lookup = { nonce, wrongTriesMax: challengeWrongTriesMax, now }
  const challenge = await readChallenge(deps.pool, lookup)
  if (!challenge || challenge.spent)
    throw new GatewayError('challenge-expired', 'The challenge is unknown, used or burnt.')
  if (challenge.expired) throw new GatewayError('challenge-expired', 'The challenge has expired.')
  try {
    if (challenge.address !== null && challenge.address !== address) {
      throw new GatewayError('address-mismatch', 'The challenge was made for another wallet.')
    }
    if ((await recoverSigner(challenge.message, signature)) !== address) {
      throw new GatewayError('address-mismatch', 'Another wallet signed this challenge.')
    }
  } catch (error) {
    await countWrongTry(deps.pool, nonce)
    throw error
  }
  if (!(await consumeChallenge(deps.pool, lookup)))
    throw new GatewayError('challenge-expired', 'The challenge was used meanwhile.')
}

async function issueSession(deps: LoginDeps, address: string): Promise<Issued> {
  const now = deps.clock()
  const iat = Math.floor(now.getTime() / 1000)
  const exp = iat + sessionTokenSecondsMax
  const sid = randomBytes(16).toString('hex')
  const jti = randomBytes(16).toString('hex')
  const expiresAt = new Date(exp * 1000)
  const epoch = await inTransaction(deps.pool, async (client) => {
    const walletId = await openWallet(client, address)
    const { tenant } = deps.members.of(address)
    await insertNode(client, { id: sid, kind: 'usid', parentId: null, tenant, walletId, subject: address, expiresAt })
    await insertAccessToken(client, { jti, sid, walletId, issuedAt: now, expiresAt })
    return readEpoch(client, scopeName('wallet', address))
  })
  const claims = {
    iss: deps.publicUrl,
    aud: deps.publicUrl,
    sub: address,
    walletAddress: address,
    sid,
    jti,
    iat,
    exp,
    auth_time: iat,
    amr: ['wallet'],
    epoch,
  }
  return { token: signAccessToken(claims, deps.keys.active('access-token')), expiresAt, address }
}

function checkLife(expiresAt: Date, now: Date): void {
  const seconds = (expiresAt.getTime() - now.getTime()) / 1000
  if (!(seconds > 0 && seconds <= walletTokenSecondsMax)) {
    throw new GatewayError(
      'request-invalid',
      `expiresAt must lie within the next ${walletTokenSecondsMax / 86_400} days.`,
      {
        details: { field: 'expiresAt' },
      },
    )
  }
}
