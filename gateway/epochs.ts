// This process's copy of the revocation set. A notification applies at once; a poll twice a second is heartbeat and
// second path. A copy older than the bound says so, and effects are refused. Epochs only grow.
import type { Queryable } from '../db/pool.ts'
import { recentlyRevokedScopes, revokedScopes, type RevokedScope } from '../db/revocation.ts'
import { GatewayError, toError } from '../domain/errors.ts'
import {
  revocationFeedHeartbeatMs,
  revocationFeedStaleMs,
  revocationGapMs,
  revocationPageRows,
  revocationWindowSeconds,
} from '../domain/limits.ts'
import { firstRevoked, type GateScope } from '../domain/revocation.ts'
import type { Logger } from '../telemetry/log.ts'
import { listenToRevocations, type ListeningDeps } from './epoch-listener.ts'
import type { Epochs } from './ports.ts'

export type EpochsDeps = {
  readonly pool: Queryable
  /** A connection of its own for LISTEN; called again after each loss. */
  readonly listener: ListeningDeps['listener']
  readonly log: Pick<Logger, 'warn'>
}

export type LiveEpochs = Epochs &
  AsyncDisposable & {
    /** Reads what is new now. Rejects when it cannot be read. */
    readonly refresh: () => Promise<void>
  }

/** Loads the whole set, then follows it. */
export async function createEpochs(deps: EpochsDeps): Promise<LiveEpochs> {
  const set = createEpochSet()
  const feed = createFeed(deps.pool, set.apply)
  await feed.reload()
  const listening = listenToRevocations({ ...deps, apply: set.apply, missed: feed.missed })
  let polling = false
  const timer = setInterval(() => {
    if (polling) return
    polling = true
    feed
      .poll()
      .catch((error: unknown) => deps.log.warn({ err: toError(error) }, 'the revocation feed was not read'))
      .finally(() => (polling = false))
  }, revocationFeedHeartbeatMs)
  timer.unref()
  return {
    epochOf: set.epochOf,
    watch: set.watch,
    isFresh: feed.isFresh,
    refresh: feed.poll,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await listening.stop()
    },
  }
}

type Watch = { readonly gate: readonly GateScope[]; readonly controller: AbortController }
type Apply = (revoked: RevokedScope) => void

function createEpochSet(): Pick<Epochs, 'epochOf' | 'watch'> & { apply: Apply } {
  const epochs = new Map<string, number>()
  const watches = new Map<string, Set<Watch>>()
  const epochOf = (scope: string) => epochs.get(scope) ?? 0
  const heed = ({ gate, controller }: Watch) => {
    const revoked = firstRevoked(gate, epochOf)
    if (revoked !== undefined) controller.abort(new GatewayError('revoked', `${revoked} was revoked.`))
  }
  const forget = (watch: Watch) => {
    for (const { scope } of watch.gate) {
      const watching = watches.get(scope)
      watching?.delete(watch)
      if (watching?.size === 0) watches.delete(scope)
    }
  }
  return {
    epochOf,
    // An older event never un-revokes.
    apply({ scope, epoch }) {
      if (epoch <= epochOf(scope)) return
      epochs.set(scope, epoch)
      watches.get(scope)?.forEach(heed)
    },
    watch(gate) {
      const watch: Watch = { gate, controller: new AbortController() }
      for (const { scope } of gate) watches.set(scope, (watches.get(scope) ?? new Set()).add(watch))
      heed(watch)
      return { signal: watch.controller.signal, release: () => forget(watch) }
    },
  }
}

// Polls read the last minute only; after a gap the whole set is read again.
function createFeed(pool: Queryable, apply: Apply) {
  let readAt = Number.NEGATIVE_INFINITY
  let hasGap = true
  const reload = async () => {
    const askedAt = performance.now()
    hasGap = false // a gap reported while the pages are read is a new one
    await readAll(pool, apply).catch((error: unknown) => {
      hasGap = true
      throw error
    })
    readAt = askedAt
  }
  const poll = async () => {
    const askedAt = performance.now()
    if (hasGap || askedAt - readAt > revocationGapMs) return reload()
    const window = { seconds: revocationWindowSeconds, timeoutMs: revocationFeedStaleMs }
    for (const revoked of await recentlyRevokedScopes(pool, window)) apply(revoked)
    readAt = askedAt // as old as the question, not as the answer
  }
  return {
    reload,
    poll,
    missed: () => {
      hasGap = true
    },
    isFresh: () => performance.now() - readAt <= revocationFeedStaleMs,
  }
}

async function readAll(pool: Queryable, apply: Apply): Promise<void> {
  let afterScope = ''
  for (;;) {
    const page = await revokedScopes(pool, { afterScope, limit: revocationPageRows, timeoutMs: revocationFeedStaleMs })
    page.forEach(apply)
    const last = page.at(-1)
    if (!last || page.length < revocationPageRows) return
    afterScope = last.scope
  }
}
