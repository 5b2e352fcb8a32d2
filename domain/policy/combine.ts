// decide(): pure, total, and the same for every door. Hard deny > deny > require > allow > default deny; redact and
// limit ride along with an allow as obligations. The decision names the rules that made it. A condition that cannot be
// evaluated never helps the caller: an allow does not match, anything else denies.
import { retentionDays, type RetentionClass } from '../retention.ts'
import { byName, candidates, indexRules, type RuleIndex } from './index.ts'
import { firstMiss } from './match.ts'
import type { LimitEffect, Question, Requirement, Rule, RuleEffect } from './rule.ts'

export type PolicySet = {
  /** Names the set where no rule of a policy decided. */
  readonly policyId: string
  readonly version: number
  readonly epoch: number
  readonly rules: readonly Rule[]
  readonly index: RuleIndex
}

/** Prepares rules for decisions. */
export function policySet(set: Omit<PolicySet, 'index'>): PolicySet {
  return { ...set, index: indexRules(set.rules) }
}

export type Obligation = Extract<RuleEffect, { kind: 'redact' | 'limit' }> & { readonly ruleId: string }

type Made = {
  /** Policy and version of the first rule that decided; the set's where none did. */
  readonly policyId: string
  readonly version: number
  readonly epoch: number
  /** Rules that decided, in the order of their names; `policy/rule` where one belongs to another policy than the first. */
  readonly ruleIds: readonly string[]
  readonly reason: string
  /** The shortest class that a rule which decided names; absent when none does. */
  readonly retention?: RetentionClass
  /** What the rules under observation would have made of it; absent when the same. */
  readonly observed?: { readonly kind: Verdict['kind']; readonly ruleIds: readonly string[]; readonly reason: string }
}

export type Decision =
  | (Made & { readonly kind: 'allow'; readonly obligations: readonly Obligation[] })
  | (Made & { readonly kind: 'deny'; readonly hard: boolean })
  | (Made & { readonly kind: 'require'; readonly requirement: Requirement })

type Verdict =
  | { readonly kind: 'allow'; readonly rules: readonly Rule[]; readonly obligations: readonly Rule[] }
  | { readonly kind: 'deny'; readonly rules: readonly Rule[]; readonly hard: boolean }
  | { readonly kind: 'require'; readonly rules: readonly Rule[]; readonly requirement: Requirement }

/** Answers one question by the active policy. Pure: same question and policy, same decision. */
export function decide(policy: PolicySet, question: Question): Decision {
  const found = judge(candidates(policy.index, question), question)
  const verdict = combine(found.filter(isEnforced), question)
  const decision = toDecision(policy, verdict)
  if (found.every(isEnforced)) return decision
  const would = combine(found, question)
  if (would.kind === verdict.kind) return decision
  const { kind, ruleIds, reason } = toDecision(policy, would)
  return { ...decision, observed: { kind, ruleIds, reason } }
}

/** Whether `decide` would answer deny, without saying why: lists ask it of every tool. */
export function refuses(policy: PolicySet, question: Question): boolean {
  const findings = judge(candidates(policy.index, question), question)
  const enforced = findings.every(isEnforced) ? findings : findings.filter(isEnforced)
  return combine(enforced, question).kind === 'deny'
}

/** A rule that bears on a question: it matched, or its condition could not be evaluated. */
export type Finding = { readonly rule: Rule; readonly error: boolean }

const isEnforced = ({ rule }: Finding) => rule.mode === 'enforce'

function judge(rules: readonly Rule[], question: Question): Finding[] {
  const findings: Finding[] = []
  for (const rule of rules) {
    const miss = firstMiss(rule, question)
    if (miss === null) findings.push({ rule, error: false })
    else if (miss === 'error' && rule.effect.kind !== 'allow') findings.push({ rule, error: true })
  }
  return findings
}

function combine(findings: readonly Finding[], { principal }: Question): Verdict {
  const hard = pick(findings, ({ rule: { effect } }) => effect.kind === 'deny' && effect.hard)
  if (hard.length > 0) return { kind: 'deny', hard: true, rules: hard }
  const denies = pick(findings, ({ rule, error }) => error || rule.effect.kind === 'deny')
  if (denies.length > 0) return { kind: 'deny', hard: false, rules: denies }
  const requires = pick(
    findings,
    ({ rule: { effect } }) => effect.kind === 'require' && !isMet(effect, principal.assurance),
  )
  const strongest = requires.toSorted((a, b) => strengthOf(b.effect) - strengthOf(a.effect))
  const first = strongest[0]?.effect
  if (first?.kind === 'require') return { kind: 'require', requirement: first.requirement, rules: strongest }
  const allows = pick(findings, ({ rule }) => rule.effect.kind === 'allow')
  if (allows.length === 0) return { kind: 'deny', hard: false, rules: [] }
  return { kind: 'allow', rules: allows, obligations: pick(findings, ({ rule }) => isObligation(rule.effect)) }
}

function pick(findings: readonly Finding[], wanted: (finding: Finding) => boolean): readonly Rule[] {
  const rules: Rule[] = []
  for (const finding of findings) if (wanted(finding)) rules.push(finding.rule)
  return rules.length > 1 ? rules.toSorted(byName) : rules
}

function toDecision(policy: PolicySet, verdict: Verdict): Decision {
  const retention = retentionOf(verdict.rules)
  const decision = bareDecision(policy, verdict)
  return retention === undefined ? decision : { ...decision, retention }
}

// Written out: every call makes one, and a spread costs more than the rest of the decision.
function bareDecision(policy: PolicySet, verdict: Verdict): Decision {
  const first = verdict.rules[0]
  const policyId = first?.policyId ?? policy.policyId
  const version = first?.version ?? policy.version
  const { epoch } = policy
  const ruleIds = verdict.rules.map((rule) => (rule.policyId === policyId ? rule.id : `${rule.policyId}/${rule.id}`))
  const reason = first?.reason ?? 'No rule allows this.'
  const { kind } = verdict
  if (kind === 'deny') return { kind, policyId, version, epoch, ruleIds, reason, hard: verdict.hard }
  if (kind === 'require') return { kind, policyId, version, epoch, ruleIds, reason, requirement: verdict.requirement }
  return { kind, policyId, version, epoch, ruleIds, reason, obligations: obligationsOf(verdict.obligations) }
}

// What one rule wants gone is gone, whatever another would keep: hashes stay in any case.
function retentionOf(rules: readonly Rule[]): RetentionClass | undefined {
  let shortest: RetentionClass | undefined
  for (const { retention } of rules) {
    if (retention === undefined) continue
    if (shortest === undefined || retentionDays[retention] < retentionDays[shortest]) shortest = retention
  }
  return shortest
}

const isObligation = (effect: RuleEffect) => effect.kind === 'redact' || effect.kind === 'limit'

// The requirement that asks for most is named first: a person, then a fresh proof, then a better credential.
function strengthOf(effect: RuleEffect): number {
  if (effect.kind !== 'require') return 0
  if (effect.requirement === 'assurance') return effect.assurance ?? 3
  return effect.requirement === 'step-up' ? 4 : 5
}

// An assurance requirement is met by the credential itself; approvals and step-ups never are.
function isMet(effect: RuleEffect, assurance: number): boolean {
  if (effect.kind !== 'require' || effect.requirement !== 'assurance') return false
  return assurance >= (effect.assurance ?? 3)
}

const rankOf = { default: 0, plan: 1, tool: 2 } as const

// The rules come in the order of their names: of two equal limits the first is in force, whatever file it is of.
function obligationsOf(rules: readonly Rule[]): Obligation[] {
  const limits = rules.flatMap(({ id, effect }) => (effect.kind === 'limit' ? [{ ...effect, ruleId: id }] : []))
  const redactions = rules.flatMap(({ id, effect }) => (effect.kind === 'redact' ? [{ ...effect, ruleId: id }] : []))
  return [...redactions, ...limits.flatMap((each, place) => inForce(limits, each, place))]
}

type Limit = LimitEffect & { readonly ruleId: string }

const isSameMeter = (a: Limit, b: Limit) => a.meter === b.meter && a.per === b.per && a.counter === b.counter

// A per-tool limit replaces the plan's, which replaces the default; of the same rank the lower one holds, and the smallest
// burst of any: what one rule forbids another does not give back.
function inForce(limits: readonly Limit[], each: Limit, place: number): Limit[] {
  let burst = each.burst ?? each.amount
  for (const [index, other] of limits.entries()) {
    if (index === place || !isSameMeter(other, each)) continue
    if (other.rank !== each.rank) {
      if (rankOf[other.rank] > rankOf[each.rank]) return []
      continue
    }
    if (other.amount < each.amount || (other.amount === each.amount && index < place)) return []
    burst = Math.min(burst, other.burst ?? other.amount)
  }
  return [burst === (each.burst ?? each.amount) ? each : { ...each, burst }]
}
