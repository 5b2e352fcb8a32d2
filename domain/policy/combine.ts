// decide(): pure, total, and the same for every door. Hard deny > deny > require > allow > default deny; redact and
// limit ride along with an allow as obligations. The decision names the rules that made it.
import type { Principal } from '../principal.ts'
import type { Action, Facts, Requirement, Resource, Rule, RuleEffect, RuleMatch } from './rule.ts'

export type PolicySet = {
  readonly policyId: string
  readonly version: number
  readonly epoch: number
  readonly rules: readonly Rule[]
}

export type Session = { readonly id: string; readonly risk: number } | null

export type Obligation = Extract<RuleEffect, { kind: 'redact' | 'limit' }> & { readonly ruleId: string }

type Made = {
  readonly policyId: string
  readonly version: number
  readonly epoch: number
  readonly ruleIds: readonly string[]
  readonly reason: string
}

export type Decision =
  | (Made & { readonly kind: 'allow'; readonly obligations: readonly Obligation[] })
  | (Made & { readonly kind: 'deny'; readonly hard: boolean })
  | (Made & { readonly kind: 'require'; readonly requirement: Requirement })

export type Question = {
  readonly principal: Principal
  readonly session: Session
  readonly action: Action
  readonly resource: Resource
  readonly facts: Facts
}

/** Answers one question by the active policy. Pure: same question and policy, same decision. */
export function decide(policy: PolicySet, question: Question): Decision {
  const matched = policy.rules
    .filter((rule) => rule.phases.includes(question.facts.phase) && matches(rule.match, question))
    .toSorted(byName) // the order in which rules are written never shows
  const base = { policyId: policy.policyId, version: policy.version, epoch: policy.epoch }
  const of = (kind: RuleEffect['kind']) => matched.filter((rule) => rule.effect.kind === kind)
  const made = (rules: readonly Rule[], fallback: string): Made => ({
    ...base,
    ruleIds: rules.map((rule) => rule.id),
    reason: rules[0]?.reason ?? fallback,
  })

  const denies = of('deny')
  const hard = denies.filter((rule) => rule.effect.kind === 'deny' && rule.effect.hard)
  if (hard.length > 0) return { kind: 'deny', hard: true, ...made(hard, '') }
  if (denies.length > 0) return { kind: 'deny', hard: false, ...made(denies, '') }
  const requires = of('require')
    .filter((rule) => !isMet(rule.effect, question.principal))
    .toSorted((a, b) => strengthOf(b.effect) - strengthOf(a.effect))
  const first = requires[0]
  if (first?.effect.kind === 'require') {
    return { kind: 'require', requirement: first.effect.requirement, ...made(requires, '') }
  }
  const allows = of('allow')
  if (allows.length === 0) return { kind: 'deny', hard: false, ...made([], 'No rule allows this.') }
  return { kind: 'allow', obligations: obligationsOf(matched), ...made(allows, '') }
}

function byName(a: Rule, b: Rule): number {
  if (a.id === b.id) return a.source < b.source ? -1 : Number(a.source > b.source)
  return a.id < b.id ? -1 : 1
}

// The requirement that asks for most is named first: a person, then a fresh proof, then a better credential.
function strengthOf(effect: RuleEffect): number {
  if (effect.kind !== 'require') return 0
  if (effect.requirement === 'assurance') return effect.assurance ?? 3
  return effect.requirement === 'step-up' ? 4 : 5
}

function obligationsOf(matched: readonly Rule[]): Obligation[] {
  return matched.flatMap((rule) =>
    rule.effect.kind === 'redact' || rule.effect.kind === 'limit' ? [{ ...rule.effect, ruleId: rule.id }] : [],
  )
}

// An assurance requirement is met by the credential itself; approvals and step-ups never are.
function isMet(effect: RuleEffect, principal: Principal): boolean {
  if (effect.kind !== 'require' || effect.requirement !== 'assurance') return false
  return principal.assurance >= (effect.assurance ?? 3)
}

function matches(match: RuleMatch, { principal, action, resource }: Question): boolean {
  return (
    (match.actions === undefined || match.actions.includes(action)) &&
    (match.resources === undefined ||
      match.resources.some((pattern) => covers(pattern, `${resource.kind}:${resource.name}`))) &&
    (match.classes === undefined || match.classes.includes(resource.effectClass)) &&
    (match.actors === undefined || (match.actors === 'some') === principal.actorChain.length > 0) &&
    (match.wallets === undefined || match.wallets.includes(principal.wallet)) &&
    (match.tenants === undefined || match.tenants.includes(principal.tenant)) &&
    (match.roles === undefined || match.roles.some((role) => (principal.roles as readonly string[]).includes(role))) &&
    (match.owner === undefined || match.owner === (resource.owner === principal.wallet))
  )
}

/** Exact, or a prefix ending in `*`. */
export function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}
