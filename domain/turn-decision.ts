// What a chat POST means, given what is known under its key: join the turn that runs, try it again, replay its answer,
// or begin a new one. Pure; the door holds the key's row lock while it asks.
import { idempotencyKeySecondsMax, turnReplayWindowMs } from './limits.ts'

export type KnownTurn = {
  readonly turnId: string
  readonly try: number
  readonly tryState: 'submitted' | 'queued' | 'running' | 'ended'
  /** Why the try ended: `done`, an error code, `unaccepted`, `refused`, `swept`. */
  readonly reason: string | null
  /** Whether a model message of the turn was stored. */
  readonly modelOutput: boolean
  readonly createdAt: Date
  readonly endedAt: Date | null
  readonly doneDeliveredAt: Date | null
}

export type Post = { readonly explicitKey: boolean; readonly sameBody: boolean; readonly now: Date }

export type TurnDecision =
  /** Same update id again: nobody may have taken it yet. */
  | { readonly kind: 'resubmit'; readonly turnId: string; readonly try: number }
  | { readonly kind: 'join'; readonly turnId: string; readonly try: number }
  | { readonly kind: 'retry'; readonly turnId: string; readonly try: number }
  | { readonly kind: 'replay'; readonly turnId: string; readonly try: number }
  | { readonly kind: 'new' }
  | { readonly kind: 'refuse'; readonly code: 'idempotency-key-reused' }

/** Decides in the order of the contract (5.2). */
export function decideTurn(known: KnownTurn | null, post: Post): TurnDecision {
  if (!known) return { kind: 'new' }
  const age = post.now.getTime() - known.createdAt.getTime()
  const keyHolds = post.explicitKey && age <= idempotencyKeySecondsMax * 1_000
  if (keyHolds && !post.sameBody) return { kind: 'refuse', code: 'idempotency-key-reused' }
  const same = { turnId: known.turnId, try: known.try }
  if (known.tryState === 'submitted') return { kind: 'resubmit', ...same }
  if (known.tryState !== 'ended') return { kind: 'join', ...same }
  if (!post.sameBody) return { kind: 'new' } // the key is free again: the old words are not these
  if (known.reason !== 'done' && !known.modelOutput) return { kind: 'retry', turnId: known.turnId, try: known.try + 1 }
  if (keyHolds) return { kind: 'replay', ...same }
  const endedAgo = known.endedAt === null ? 0 : post.now.getTime() - known.endedAt.getTime()
  const undelivered = known.doneDeliveredAt === null && endedAgo <= turnReplayWindowMs
  return !post.explicitKey && undelivered ? { kind: 'replay', ...same } : { kind: 'new' }
}
