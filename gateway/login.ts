// A wallet proves itself: challenge and verify, or a signed wallet token. The server renders and stores the message; the
// client sends back a nonce and a signature, never a text that is trusted.
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { signAccessToken } from '../crypto/access-token.ts'
import { loginMessage, tokenMessage } from '../crypto/login-message.ts'
import { recoverSigner } from '../crypto/wallet-signature.ts'
import { encodeWalletToken, type WalletTokenPayload } from '../crypto/wallet-token.ts'
import {
  consumeChallenge,
  insertAccessToken,
  insertChallenge,
  insertNode,
  openWallet,
  readEpoch,
  tryChallenge,
} from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError } from '../domain/errors.ts'
import {
  challengeSecondsMax,
  challengeTriesMax,
  sessionTokenSecondsMax,
  walletTokenSecondsMax,
} from '../domain/limits.ts'
import { scopeName } from '../domain/revocation.ts'
import type { Events } from '../telemetry/events.ts'
import type { Clock, Members } from './ports.ts'
import { limitWallet } from './rate-limit.ts'
import type { SigningKeys } from './signing-keys.ts'
import { openTokenSession } from './token-session.ts'

export type LoginDeps = {
  readonly pool: Pool
  readonly keys: SigningKeys
  readonly members: Members
  readonly events: Events
  readonly clock: Clock
  /** Where this installation is reached; issuer and audience of its tokens. */
  readonly publicUrl: string
}

export type ChallengeRequest = {
  readonly address: string | undefined
  /** Secret of the browser that asks; nobody else may answer. Absent for callers without cookies. */
  readonly browser: string | undefined
}

export type ChallengeProof = {
  readonly address: string
  readonly signature: string
  readonly nonce: string
  readonly browser: string | undefined
}

export type TokenRequest = {
  readonly address: string
  readonly expiresAt: Date
  readonly permissions: readonly string[]
  readonly serverId: string | undefined
}

/** What a session takes over from the credential that asked for it. */
export type Inherited = { readonly until: Date; readonly authenticatedAt: Date | undefined }

export type Issued = { readonly token: string; readonly expiresAt: Date; readonly address: string }

export type Login = {
  readonly challenge: (request: ChallengeRequest) => Promise<{ nonce: string; message: string }>
  readonly verify: (proof: ChallengeProof) => Promise<Issued>
  readonly tokenMessage: (request: TokenRequest) => Promise<string>
  readonly createToken: (request: TokenRequest & { signature: string }) => Promise<Issued>
  /** A session token without a proof of its own, for whoever holds another credential; it never outlives that one. */
  readonly issueSession: (address: string, of?: Inherited) => Promise<Issued>
}

/** Addresses come in lower case. */
export function createLogin(deps: LoginDeps): Login {
  const domain = new URL(deps.publicUrl).host
  const facts = async (request: TokenRequest): Promise<Signed> => ({
    domain,
    address: request.address,
    expiry: Math.floor(request.expiresAt.getTime() / 1000),
    permissions: request.permissions,
    serverId: request.serverId,
    epoch: await readEpoch(deps.pool, scopeName('wallet', request.address)),
  })
  return {
    async challenge({ address, browser }) {
      const nonce = randomBytes(16).toString('hex') // 128 bits, alphanumeric as EIP-4361 asks
      const issuedAt = deps.clock()
      const expiresAt = new Date(issuedAt.getTime() + challengeSecondsMax * 1000)
      const requestId = randomUUID()
      const message = loginMessage({ domain, uri: deps.publicUrl, nonce, requestId, issuedAt, expiresAt, address })
      await insertChallenge(deps.pool, {
        nonce,
        address: address ?? null,
        message,
        binding: bindingOf(browser),
        expiresAt,
      })
      deps.events.challengeIssued()
      return { nonce, message }
    },
    async verify(proof) {
      await proveChallenge(deps, proof)
      const walletId = await openWallet(deps.pool, proof.address)
      deps.events.walletSignedIn({ walletId, credential: 'challenge' })
      return issueSession(deps, proof.address)
    },
    issueSession: (address, of) => issueSession(deps, address, of),
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
      await limitWallet(deps.pool, request.address)
      const payload = payloadOf(deps, { signed, message, signature })
      const { walletId } = await openTokenSession(deps, payload)
      deps.events.walletSignedIn({ walletId, credential: 'wallet-token' })
      return {
        token: encodeWalletToken(payload),
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
): WalletTokenPayload {
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

// The try is taken before anything is compared: however many answers come at once, only so many are looked at.
async function proveChallenge(
  { pool, clock }: LoginDeps,
  { address, signature, nonce, browser }: ChallengeProof,
): Promise<void> {
  const now = clock()
  const challenge = await tryChallenge(pool, { nonce, triesMax: challengeTriesMax, now })
  if (!challenge) throw new GatewayError('challenge-expired', 'The challenge is unknown, used, burnt or too old.')
  if (challenge.binding !== null && challenge.binding !== bindingOf(browser)) {
    throw new GatewayError('challenge-expired', 'The challenge was asked for by another browser.')
  }
  if (challenge.address !== null && challenge.address !== address) {
    throw new GatewayError('address-mismatch', 'The challenge was made for another wallet.')
  }
  if ((await recoverSigner(challenge.message, signature)) !== address) {
    throw new GatewayError('address-mismatch', 'Another wallet signed this challenge.')
  }
  await limitWallet(pool, address)
  if (!(await consumeChallenge(pool, { nonce, now })))
    throw new GatewayError('challenge-expired', 'The challenge was used meanwhile.')
}

const bindingOf = (browser: string | undefined) =>
  browser === undefined ? null : createHash('sha256').update(browser).digest('hex')

async function issueSession(deps: LoginDeps, address: string, of?: Inherited): Promise<Issued> {
  const now = deps.clock()
  const iat = Math.floor(now.getTime() / 1000)
  const longest = iat + sessionTokenSecondsMax
  const exp = of === undefined ? longest : Math.min(longest, Math.floor(of.until.getTime() / 1000))
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
    auth_time: of === undefined ? iat : Math.floor((of.authenticatedAt?.getTime() ?? 0) / 1000), // 0: nobody knows
    amr: ['wallet'],
    epoch,
  }
  return { token: signAccessToken(claims, deps.keys.active('access-token')), expiresAt, address }
}

function checkLife(expiresAt: Date, now: Date): void {
  const seconds = (expiresAt.getTime() - now.getTime()) / 1000
  if (seconds > 0 && seconds <= walletTokenSecondsMax) return
  const days = walletTokenSecondsMax / 86_400
  throw new GatewayError('request-invalid', `expiresAt must lie within the next ${days} days.`, {
    details: { field: 'expiresAt' },
  })
}
