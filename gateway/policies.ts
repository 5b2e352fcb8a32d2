// The active policies of this process. The table is followed by notification and by polling; a new epoch is compiled off to
// the side and takes the place of the old one whole. What cannot be compiled leaves the old set where it is.
import {
  policyChannel,
  readActivePolicies,
  readPolicyEpoch,
  type ActivePolicies,
  type PolicyRow,
} from '../db/policy.ts'
import type { Queryable } from '../db/pool.ts'
import { toError } from '../domain/errors.ts'
import { policyFeedHeartbeatMs, policyFeedTimeoutMs, policyPermitMs } from '../domain/limits.ts'
import { policySet, type PolicySet } from '../domain/policy/combine.ts'
import type { Policy, Rule } from '../domain/policy/rule.ts'
import type { Logger } from '../telemetry/log.ts'
import { listenTo, type ListeningDeps } from './epoch-listener.ts'
import type { PolicySource } from './ports.ts'

/** Compiles a text of any form, or says what is wrong with it. `name` stands in faults and in the source of rules. */
export type CompilePolicy = (
  name: string,
  text: string,
) => { readonly policy: Policy } | { readonly faults: readonly string[] }

export type PoliciesDeps = {
  readonly pool: Queryable
  readonly compile: CompilePolicy
  readonly listener: ListeningDeps['listener']
  readonly log: Pick<Logger, 'warn' | 'error' | 'info'>
}

/** `set-refused`: the newest set cannot be used here, an older one decides. `stale`: the table was not read lately. */
export type PoliciesState = 'ok' | 'set-refused' | 'stale'

export type LivePolicies = PolicySource &
  AsyncDisposable & {
    /** Takes over what is new now. Rejects when it cannot be read. */
    readonly refresh: () => Promise<void>
    readonly state: () => PoliciesState
  }

/** Where no rule of a policy decided, the whole set did. */
const wholeSet = 'installation'

/** Loads the active set, then follows it. Throws when there is none to be had: nothing is decided without one. */
export async function createPolicies(deps: PoliciesDeps): Promise<LivePolicies> {
  const follower = createFollower(deps)
  const first = await follower.look()
  if (first === undefined) throw new Error('The active policies cannot be used.')
  const look = () =>
    void follower.look().catch((error: unknown) => deps.log.warn({ err: toError(error) }, 'the policies were not read'))
  const listening = listenTo({ ...deps, channel: policyChannel, hear: look, missed: look })
  const timer = setInterval(look, policyFeedHeartbeatMs)
  timer.unref()
  return {
    current: () => follower.current() ?? first,
    state: follower.state,
    isFresh: () => follower.state() !== 'stale',
    permits: () => follower.ageMs() <= policyPermitMs,
    refresh: async () => void (await follower.look()),
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await listening.stop()
      await follower.settled()
    },
  }
}

function createFollower({ pool, compile, log }: PoliciesDeps) {
  let set: PolicySet | undefined
  let refused = 0 // epoch
  let readAt = Number.NEGATIVE_INFINITY
  let compiled: ReadonlyMap<string, readonly Rule[]> = new Map()
  let looking: Promise<PolicySet | undefined> | undefined
  let queued: Promise<PolicySet | undefined> | undefined
  const bound = { timeoutMs: policyFeedTimeoutMs }
  const take = async (active: ActivePolicies) => {
    const next = await compileSet(active, compiled, compile)
    if ('faults' in next) {
      refused = active.epoch
      log.error({ epoch: active.epoch, faults: next.faults }, 'the new policies cannot be used; the old ones stay')
      return
    }
    compiled = next.compiled
    set = next.set
    log.info({ epoch: active.epoch, policies: active.policies.length, rules: set.rules.length }, 'policies are active')
  }
  const lookOnce = async () => {
    const askedAt = performance.now()
    const epoch = await readPolicyEpoch(pool, bound)
    if (set === undefined || epoch > Math.max(set.epoch, refused)) {
      const active = await readActivePolicies(pool, bound)
      if (active.epoch > (set?.epoch ?? -1)) await take(active)
    }
    readAt = askedAt
    return set
  }
  // One look at a time. Who asks during one waits for the next: the present one may have read before the change.
  const look = (): Promise<PolicySet | undefined> => {
    if (looking === undefined) {
      looking = lookOnce().finally(() => (looking = undefined))
      return looking
    }
    const present = looking
    queued ??= present
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        queued = undefined
        return look()
      })
    return queued
  }
  return {
    look,
    current: () => set,
    settled: async () => void (await Promise.allSettled([looking, queued])),
    ageMs: () => performance.now() - readAt,
    state: (): PoliciesState => {
      if (performance.now() - readAt > policyFeedTimeoutMs) return 'stale'
      return refused > (set?.epoch ?? -1) ? 'set-refused' : 'ok'
    },
  }
}

type Compiled =
  | { readonly set: PolicySet; readonly compiled: ReadonlyMap<string, readonly Rule[]> }
  | { readonly faults: readonly string[] }

// What is known from the set before is not compiled again, and others get their turn between two policies. All or nothing.
async function compileSet(
  { epoch, policies }: ActivePolicies,
  known: ReadonlyMap<string, readonly Rule[]>,
  compile: CompilePolicy,
): Promise<Compiled> {
  const compiled = new Map<string, readonly Rule[]>()
  const faults: string[] = []
  for (const row of policies) {
    const key = `${row.policyId}@${row.version}`
    const rules = known.get(key) ?? rulesOf(row, compile)
    if ('faults' in rules) faults.push(...rules.faults)
    else compiled.set(key, rules)
    if (!known.has(key)) await new Promise((resolve) => setImmediate(resolve))
  }
  if (faults.length > 0) return { faults }
  const rules = [...compiled.values()].flat()
  return { set: Object.freeze(policySet({ policyId: wholeSet, version: epoch, epoch, rules })), compiled }
}

/** The rules of a stored text under the number that the table gave it. */
export function rulesOf(
  { policyId, version, name, text }: Pick<PolicyRow, 'policyId' | 'version' | 'name' | 'text'>,
  compile: CompilePolicy,
): readonly Rule[] | { readonly faults: readonly string[] } {
  const made = compile(name, text)
  if ('faults' in made) return made
  return made.policy.rules.map((rule) => ({ ...rule, policyId, version }))
}
