// The same request again gets the same answer: a caller names its request with a key, and while the key is kept the work
// behind it is done once. What was refused is not kept, because it changed nothing. A process that dies between its work
// and the keeping of the reply leaves a claim that lapses: then the work is done again.
import { randomUUID } from 'node:crypto'
import { digestOf } from '../crypto/evidence.ts'
import type { Seal } from '../crypto/seal.ts'
import { claimReply, keepReply, releaseReply, type ReplyName } from '../db/idempotent-reply.ts'
import type { Pool } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import {
  challengeSecondsMax,
  idempotencyKeySecondsMax,
  idempotencyLeaseSeconds,
  idempotentKeysPerOwnerMax,
  idempotentReplyBytesMax,
} from '../domain/limits.ts'
import { KeptReply } from '../schemas/idempotency.ts'

export type IdempotentOrder = {
  /** Whose key it is; keys of others are other keys. */
  readonly owner: string
  readonly route: string
  readonly key: string
  /** All that was asked. */
  readonly asked: unknown
  /** The reply is a credential: it is kept no longer than a challenge lives. */
  readonly isSecret: boolean
}

export type Idempotency = {
  /** Runs `work` or answers its kept reply. Throws `idempotency-key-reused`, `idempotency-key-busy`, `rate-limited`. */
  readonly once: (order: IdempotentOrder, work: () => Promise<KeptReply>) => Promise<KeptReply & { kept: boolean }>
}

export type IdempotencyDeps = {
  readonly pool: Pool
  readonly seal: Seal
  /** Of a reply that is kept. */
  readonly replyBytesMax?: number
}

export function createIdempotency(deps: IdempotencyDeps): Idempotency {
  const { pool, seal, replyBytesMax = idempotentReplyBytesMax } = deps
  return {
    async once({ isSecret, asked, ...named }, work) {
      const name: ReplyName = { ...named, bodyHash: digestOf(asked) }
      const purpose = `idempotent-reply/${digestOf(name)}`
      const claim = randomUUID()
      const found = await claimReply(pool, name, {
        claim,
        leaseSeconds: idempotencyLeaseSeconds,
        keepSeconds: isSecret ? challengeSecondsMax : idempotencyKeySecondsMax,
        keysMax: idempotentKeysPerOwnerMax,
      })
      if (found.answer === 'stored') {
        const clear = seal.open(purpose, found.sealed).toString('utf8')
        if (clear === tooLarge) throw new GatewayError('idempotency-reply-lost', 'It was done; its reply was not kept.')
        return { ...KeptReply.parse(JSON.parse(clear)), kept: true }
      }
      if (found.answer !== 'run') throw refusalOf(found.answer)
      const reply = await runReleasing(pool, { name, claim }, work)
      const whole = Buffer.from(JSON.stringify(reply))
      // The work was done: what is too large to keep must not be done again for it.
      const bytes = whole.length > replyBytesMax ? Buffer.from(tooLarge) : whole
      await keepReply(pool, name, { claim, sealed: seal.seal(purpose, bytes) }).catch(() => undefined) // it lapses
      return { ...reply, kept: false }
    },
  }
}

/** What stands for a reply that is not kept; no JSON of one. */
const tooLarge = 'too large'

type Claimed = { readonly name: ReplyName; readonly claim: string }

async function runReleasing(pool: Pool, { name, claim }: Claimed, work: () => Promise<KeptReply>): Promise<KeptReply> {
  try {
    return await work()
  } catch (error) {
    await releaseReply(pool, name, claim).catch(() => undefined) // it lapses
    throw error
  }
}

function refusalOf(answer: 'busy' | 'reused' | 'full'): GatewayError {
  if (answer === 'reused') return new GatewayError('idempotency-key-reused', 'The key belongs to another request.')
  if (answer === 'busy') return new GatewayError('idempotency-key-busy', 'The request with this key still runs.')
  return new GatewayError('rate-limited', `Up to ${idempotentKeysPerOwnerMax} keys are kept at a time.`, {
    retryAfterMs: 60_000,
  })
}
