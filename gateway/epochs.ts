// This process's copy of the revocation set. A notification applies at once; a poll twice a second is heartbeat and
// second path. A copy older than the bound says so, and effects are refused. Epochs only grow.
import type pg from 'pg'
import type { Pool } from '../db/pool.ts'
import { recentlyRevokedScopes, revocationChannel, revokedScopes, type RevokedScope } from '../db/revocation.ts'
import { GatewayError, toError } from '../domain/errors.ts'
import { revocationFeedHeartbeatMs, revocationFeedStaleMs, revocationPageRows } from '../domain/limits.ts'
import type { GateScope } from '../domain/revocation.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Epochs } from './ports.ts'

export type EpochsDeps = {
  readonly pool: Pool
  /** A connection of its own for LISTEN; called again after each loss. */
  readonly listener: () => pg.Client
  readonly log: Logger
}

export type LiveEpochs = Epochs & AsyncDisposable & { readonly refresh: () => Promise<void> }

type Watch = { readonly gate: readonly GateScope[]; readonly controller: AbortController }

const recentSeconds = 60 // a transaction lives at most 5 s, so nothing committed late is missed
const relistenMs = 500

/** Loads the whole set, then follows it. */
export async function createEpochs(deps: EpochsDeps): Promise<LiveEpochs> {
  const epochs = new Map<string, number>()
  const watches = new Set<Watch>()
  let freshAt = Number.NEGATIVE_INFINITY
  let ended = false
  const apply = ({ scope, epoch }: RevokedScope) => {
    if (epoch <= (epochs.get(scope) ?? 0)) return
    epochs.set(scope, epoch)
    for (const watch of watches) {
      if (watch.gate.some((each) => each.scope === scope && epoch > each.epoch)) {
        watch.controller.abort(new GatewayError('revoked', `${scope} was revoked.`))
      }
    }
  }
  const poll = async () => {
    const askedAt = performance.now()
    const recent = await recentlyRevokedScopes(deps.pool, { seconds: recentSeconds, timeoutMs: revocationFeedStaleMs })
    recent.forEach(apply)
    freshAt = askedAt // as old as the question, not as the answer
  }
  await loadAll(deps.pool, apply)
  await poll()
  const listening = createListening({ ...deps, apply, reload: () => loadAll(deps.pool, apply) })
  const timer = setInterval(() => {
    if (!ended)
      poll().catch((error: unknown) => deps.log.warn({ err: toError(error) }, 'the revocation feed was not read'))
  }, revocationFeedHeartbeatMs)
  timer.unref()
  return {
    epochOf: (scope) => epochs.get(scope) ?? 0,
    isFresh: () => performance.now() - freshAt <= revocationFeedStaleMs,
    watch(gate) {
      const watch: Watch = { gate, controller: new AbortController() }
      watches.add(watch)
      const passed = gate.find(({ scope, epoch }) => (epochs.get(scope) ?? 0) > epoch)
      if (passed) watch.controller.abort(new GatewayError('revoked', `${passed.scope} was revoked.`))
      return { signal: watch.controller.signal, release: () => void watches.delete(watch) }
    },
    refresh: poll,
    async [Symbol.asyncDispose]() {
      ended = true
      clearInterval(timer)
      await listening.stop()
    },
  }
}

async function loadAll(pool: Pool, apply: (scope: RevokedScope) => void): Promise<void> {
  let afterScope = ''
  for (;;) {
    const page = await revokedScopes(pool, { afterScope, limit: revocationPageRows, timeoutMs: revocationFeedStaleMs })
    page.forEach(apply)
    const last = page.at(-1)
    if (!last || page.length < revocationPageRows) return
    afterScope = last.scope
  }
}

type Listening = EpochsDeps & { readonly apply: (scope: RevokedScope) => void; readonly reload: () => Promise<void> }

// Listens on its own connection; after each loss it connects anew and loads the whole set, because notices were missed.
function createListening({ listener, log, apply, reload }: Listening): { stop: () => Promise<void> } {
  let client: pg.Client | undefined
  let ended = false
  let timer: NodeJS.Timeout | undefined
  const again = () => {
    if (!ended) timer = setTimeout(() => void connect(), relistenMs)
  }
  const connect = async () => {
    const next = listener()
    client = next
    next.on('notification', ({ payload }) => {
      const notice = readNotice(payload)
      if (notice) apply(notice)
    })
    next.on('error', (error) => log.warn({ err: error }, 'the revocation listener lost its connection'))
    next.on('end', again)
    try {
      await next.connect()
      await next.query(`LISTEN ${revocationChannel}`)
      await reload()
    } catch (error) {
      log.warn({ err: toError(error) }, 'the revocation listener cannot connect')
      await next.end().catch(() => undefined)
    }
  }
  void connect()
  return {
    async stop() {
      ended = true
      clearTimeout(timer)
      await client?.end().catch(() => undefined)
    },
  }
}

function readNotice(payload: string | undefined): RevokedScope | undefined {
  try {
    const { scope, epoch } = JSON.parse(payload ?? '') as { scope?: unknown; epoch?: unknown }
    return typeof scope === 'string' && typeof epoch === 'number' ? { scope, epoch } : undefined
  } catch {
    return undefined // not ours; the poll is the truth anyway
  }
}
