// The one compiled form of every policy, and the facts it may read. A rule matches a call or it does not; what follows
// is decided by `combine.ts`. Facts whose source is not connected are null and match nothing.
import type { RetentionClass } from '../retention.ts'
import type { Principal } from '../principal.ts'
import type { EffectClass } from '../tool.ts'
import type { ToolPattern } from './pattern.ts'

export const phases = ['list', 'call', 'prompt', 'response', 'exchange', 'stream'] as const
export type Phase = (typeof phases)[number]

export const severities = ['critical', 'high', 'medium', 'low'] as const
export type Severity = (typeof severities)[number]

export type Requirement = 'approval' | 'step-up' | 'assurance'

export const meters = ['calls-per-second', 'requests-per-minute', 'tokens-per-minute', 'calls-per-day'] as const
export type Meter = (typeof meters)[number]

/**
 * What a meter counts by. Of the limits that match a call, for each meter, `per` and counter only those of the highest
 * rank (tool > plan > default) hold, and of these the lowest amount.
 */
export type LimitEffect = {
  readonly kind: 'limit'
  readonly meter: Meter
  readonly amount: number
  /** Size of the bucket; the amount when absent. No meaning for `calls-per-day`. */
  readonly burst?: number
  readonly per: 'tenant-tool' | 'human' | 'wallet' | 'tenant'
  readonly rank: 'tool' | 'plan' | 'default'
  /** Name of a counter that limits share; absent, each action has one of its own. Limits of one counter go together. */
  readonly counter?: string
  /** What a call takes of it, in units; one when absent. No meaning for tokens. */
  readonly weight?: number
}

export type RuleEffect =
  | { readonly kind: 'deny'; readonly hard: boolean }
  | { readonly kind: 'require'; readonly requirement: Requirement; readonly assurance?: 1 | 2 | 3 }
  | { readonly kind: 'allow' }
  | { readonly kind: 'redact'; readonly fields: readonly string[] }
  | LimitEffect

/** Conditions are conjunctive; an absent one matches all. Patterns are exact or end in `*`. */
export type RuleMatch = {
  readonly actions?: readonly Action[]
  /** `kind:name` patterns. */
  readonly resources?: readonly string[]
  /** Tools by server, name and version; case does not count. A resource that is no tool never matches. */
  readonly tools?: readonly ToolPattern[]
  /** Everything but these tools: what an allow list refuses. A resource that is no tool never matches. */
  readonly exceptTools?: readonly ToolPattern[]
  readonly classes?: readonly EffectClass[]
  /** `some`: an agent acts; `none`: the person acts without one. */
  readonly actors?: 'some' | 'none'
  /** Ids of agents or workloads, one of which is in the actor chain. */
  readonly agents?: readonly string[]
  /** Ids of subjects. Case does not count (contracts 14.2): an address is one, however it is spelled. */
  readonly subjects?: readonly string[]
  readonly wallets?: readonly string[]
  readonly tenants?: readonly string[]
  /** Case does not count. */
  readonly roles?: readonly string[]
  /** One of these scopes was granted. */
  readonly scopes?: readonly string[]
  /** The caller owns the resource. */
  readonly owner?: boolean
}

/** An expression over the facts. True, false, or `error`: a fact was missing or of another type. */
export type Condition = {
  readonly text: string
  /** Names of the tools outside which it is false, whatever else it says; absent when it does not say. */
  readonly toolNames?: readonly string[]
  readonly holds: (question: Question) => boolean | 'error'
}

/** Compiles an expression for the phases of its rule, or says what is wrong with it. Injected: expressions are a package. */
export type CompileCondition = (
  text: string,
  phases: readonly Phase[],
) => { readonly condition: Condition } | { readonly faults: readonly string[] }

/** A policy as its file says it: what the active set is put together from. */
export type Policy = {
  readonly policyId: string
  readonly version: number
  readonly rules: readonly Rule[]
  /** Parts of the file that were read and that nothing obeys yet, by path. */
  readonly notEnforced: readonly string[]
}

export type Rule = {
  readonly id: string
  /** The policy it belongs to, and that policy's version. */
  readonly policyId: string
  readonly version: number
  /** Where it is written: `file` or `file:line`. */
  readonly source: string
  readonly phases: readonly Phase[]
  readonly match: RuleMatch
  readonly when?: Condition
  readonly effect: RuleEffect
  readonly reason: string
  readonly severity: Severity
  /** `observe`: what it would have decided is recorded and nothing follows. */
  readonly mode: 'enforce' | 'observe'
  /** A remote decision may relax it. */
  readonly delegable: boolean
  /** How long payloads are kept of what it decides; the default when absent. */
  readonly retention?: RetentionClass
}

export const actions = [
  'agent.read',
  'agent.change',
  'session.create',
  'chat.submit',
  'model.call',
  'tool.list',
  'tool.call',
  'codec.decode',
  'policy.change',
] as const
export type Action = (typeof actions)[number]

/** What is acted on. `name` is `server/tool`, a model id, an agent id. */
export type Resource = {
  readonly kind: 'agent' | 'session' | 'model' | 'tool' | 'codec' | 'policy'
  readonly name: string
  readonly effectClass: EffectClass
  /** Wallet that owns it; null for what belongs to the installation. */
  readonly owner: string | null
}

/** Where bytes would go, parsed from the arguments or known from the upstream. */
export type Destination = {
  readonly scheme: string
  readonly host: string
  readonly port: number
  readonly path: string
}

export type Facts = {
  readonly phase: Phase
  readonly arguments: unknown
  /** Version and digest of the schema of the tool; absent or null when its server does not say. */
  readonly tool?: { readonly version: string | null; readonly schemaSha256: string | null }
  /** Claims of an identity provider's token. */
  readonly claims?: Readonly<Record<string, unknown>> | null
  readonly destination?: Destination | null
  readonly budget?: { readonly availableMicros: bigint } | null
  readonly attestation?: { readonly tee: boolean } | null
  /** Door that the call came through: `http`, `chat`, `mcp`. */
  readonly origin?: string
}

export type Session = { readonly id: string; readonly risk: number } | null

export type Question = {
  readonly principal: Principal
  readonly session: Session
  readonly action: Action
  readonly resource: Resource
  readonly facts: Facts
}
