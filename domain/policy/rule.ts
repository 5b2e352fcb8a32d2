// The one compiled form of every policy, and the facts it may read. A rule matches a call or it does not; what follows
// is decided by `combine.ts`. Facts whose source is not connected are null and match nothing.
import type { EffectClass } from '../tool.ts'

export const phases = ['list', 'call', 'prompt', 'response', 'exchange', 'stream'] as const
export type Phase = (typeof phases)[number]

export type Requirement = 'approval' | 'step-up' | 'assurance'

export type RuleEffect =
  | { readonly kind: 'deny'; readonly hard: boolean }
  | { readonly kind: 'require'; readonly requirement: Requirement; readonly assurance?: 1 | 2 | 3 }
  | { readonly kind: 'allow' }
  | { readonly kind: 'redact'; readonly fields: readonly string[] }
  | { readonly kind: 'limit'; readonly calls: number; readonly periodSeconds: number }

/** Conditions are conjunctive; an absent one matches all. Patterns are exact or end in `*`. */
export type RuleMatch = {
  readonly actions?: readonly Action[]
  readonly resources?: readonly string[]
  readonly classes?: readonly EffectClass[]
  /** `some`: an agent acts; `none`: the person acts without one. */
  readonly actors?: 'some' | 'none'
  readonly wallets?: readonly string[]
  readonly tenants?: readonly string[]
  readonly roles?: readonly string[]
  /** The caller owns the resource. */
  readonly owner?: boolean
}

export type Rule = {
  readonly id: string
  readonly version: number
  readonly source: string
  readonly phases: readonly Phase[]
  readonly match: RuleMatch
  readonly effect: RuleEffect
  readonly reason: string
  readonly severity: 'critical' | 'high' | 'medium' | 'low'
}

export type Action =
  | 'agent.read'
  | 'session.create'
  | 'chat.submit'
  | 'model.call'
  | 'tool.list'
  | 'tool.call'
  | 'codec.decode'

/** What is acted on. `name` is `server/tool`, a model id, an agent id. */
export type Resource = {
  readonly kind: 'agent' | 'session' | 'model' | 'tool' | 'codec'
  readonly name: string
  readonly effectClass: EffectClass
  /** Wallet that owns it; null for what belongs to the installation. */
  readonly owner: string | null
}

export type Facts = {
  readonly phase: Phase
  readonly arguments: unknown
}
