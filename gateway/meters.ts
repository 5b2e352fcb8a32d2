// The stage of rates and quotas, after the decision and before money: the limits that ride along with an allow are taken
// all or none. What was taken is given back when a later meter refuses; tokens are corrected once they are known.
import type { Decision, Obligation } from '../domain/policy/combine.ts'
import { meters, type Meter } from '../domain/policy/rule.ts'
import type { Principal } from '../domain/principal.ts'
import type { Adjustment, QuotaAnswer, Reading, Take } from '../domain/quota.ts'
import type { Call } from './call.ts'
import type { QuotaStore } from './ports.ts'

type Limit = Extract<Obligation, { kind: 'limit' }>
type Metered = Take & { readonly ruleId: string }
type Asked = { readonly call: Omit<Call, 'signal'>; readonly decision: Decision }

/** What was taken for a call, for giving it back. */
export type TakenMeters = {
  readonly takes: readonly Metered[]
  readonly at: number
  readonly readings: readonly Reading[]
}

export type MeterRefusal = {
  readonly code: 'rate-limited' | 'quota-exceeded'
  readonly reason: string
  readonly retryAfterMs: number
  readonly ruleId: string
  readonly details: { readonly meter: Meter; readonly remaining: number; readonly resetAt: string }
}

/** What a reply may say of rates and quotas (contracts 14); members are absent where nothing limits. */
export type MeterSigns = {
  readonly rateRemaining?: number
  readonly quotaRemaining?: number
  /** ISO 8601. */
  readonly quotaResetAt?: string
}

const nothing: TakenMeters = { takes: [], at: 0, readings: [] }

/** Takes every meter of an allowed call, or says which refused. */
export async function takeMeters(quota: QuotaStore, { call, decision }: Asked): Promise<TakenMeters | MeterRefusal> {
  const takes = decision.kind === 'allow' ? takesOf(call, decision.obligations) : []
  if (takes.length === 0) return nothing
  const answer = await quota.take(takes.map(({ ruleId: _rule, ...take }) => take))
  return answer.ok ? { takes, at: answer.at, readings: answer.readings } : refusalOf(takes, answer)
}

/** Gives everything back: the call was refused after all, and did nothing. */
export async function giveBack(quota: QuotaStore, { takes, at }: TakenMeters): Promise<void> {
  const back = takes.filter(({ amount }) => amount > 0).map((take) => changeOf(take, -take.amount, at))
  if (back.length > 0) await quota.adjust(back)
}

/** Puts the tokens that were used in the place of those that were expected. */
export async function correctTokens(quota: QuotaStore, { takes, at }: TakenMeters, tokens: number): Promise<void> {
  const changes = takes
    .filter(({ meter, amount }) => meter === 'tokens-per-minute' && amount !== tokens)
    .map((take) => changeOf(take, tokens - take.amount, at))
  if (changes.length > 0) await quota.adjust(changes)
}

/** Signs of what was taken, the least of each kind. */
export function signsOf({ takes, readings }: TakenMeters): MeterSigns {
  const least = (wanted: (meter: Meter) => boolean) =>
    readings
      .filter((_reading, index) => wanted(takes[index]?.meter ?? 'calls-per-day'))
      .toSorted((a, b) => a.remaining - b.remaining)[0]
  const rate = least((meter) => meter === 'calls-per-second' || meter === 'requests-per-minute')
  const quota = least((meter) => meter === 'calls-per-day')
  return {
    ...(rate ? { rateRemaining: rate.remaining } : {}),
    ...(quota ? { quotaRemaining: quota.remaining, quotaResetAt: new Date(quota.resetAt).toISOString() } : {}),
  }
}

// Rates before quotas: what refuses first is named.
function takesOf(call: Omit<Call, 'signal'>, obligations: readonly Obligation[]): Metered[] {
  return obligations
    .filter((each): each is Limit => each.kind === 'limit')
    .toSorted((a, b) => meters.indexOf(a.meter) - meters.indexOf(b.meter))
    .map((limit) => ({
      key: keyOf(limit, call),
      meter: limit.meter,
      limit: limit.amount,
      burst: limit.burst ?? limit.amount,
      amount: limit.meter === 'tokens-per-minute' ? (call.tokens ?? 0) : (limit.weight ?? 1),
      ruleId: limit.ruleId,
    }))
}

// Calls count by action, so that a limit of chats and one of tool calls do not eat each other unless they name one counter; tokens are tokens wherever
// they are used. The rule has no part in the name: a limit that is changed keeps what was used.
function keyOf({ meter, per, counter }: Limit, { principal, action, resource }: Omit<Call, 'signal'>): string {
  const subject = subjectOf(per, principal)
  const tool = per === 'tenant-tool' ? `|${resource.kind}:${part(resource.name.toLowerCase())}` : ''
  const counted = `${meter}|${subject}${tool}`
  if (counter !== undefined) return `${counted}|counter:${counter}`
  return meter === 'tokens-per-minute' ? counted : `${counted}|${action}`
}

function subjectOf(per: Limit['per'], { tenant, subject, wallet }: Principal): string {
  if (per === 'wallet') return `wallet:${wallet}`
  if (per === 'human' && subject.kind === 'human') return `human:${part(tenant)}/${part(subject.id)}`
  return per === 'tenant-tool' ? `tenant:${part(tenant)}` : `wallet:${wallet}`
}

// Names are chosen by others: no choice of them makes one counter look like another's.
const part = encodeURIComponent

function changeOf({ ruleId: _rule, ...take }: Metered, amount: number, takenAt: number): Adjustment {
  return { ...take, amount, takenAt }
}

const words: Readonly<Record<Meter, string>> = {
  'calls-per-second': 'calls per second',
  'requests-per-minute': 'requests per minute',
  'tokens-per-minute': 'tokens per minute',
  'calls-per-day': 'calls per day',
}

function refusalOf(takes: readonly Metered[], answer: Extract<QuotaAnswer, { ok: false }>): MeterRefusal {
  const take = takes[answer.refused]
  if (take === undefined) throw new Error('The counters refused what was not asked.')
  return {
    code: take.meter === 'calls-per-day' ? 'quota-exceeded' : 'rate-limited',
    reason: `The limit of ${take.limit} ${words[take.meter]} is used up.`,
    retryAfterMs: Math.max(1, answer.waitMs),
    ruleId: take.ruleId,
    details: {
      meter: take.meter,
      remaining: answer.reading.remaining,
      resetAt: new Date(answer.reading.resetAt).toISOString(),
    },
  }
}
