// Why a decision came out as it did: every rule that was considered, what became of it, and which ones won.
import { decide, type Decision, type PolicySet } from './combine.ts'
import { byName, candidates } from './index.ts'
import { firstMiss } from './match.ts'
import type { Question, Rule } from './rule.ts'

export type Considered = {
  readonly policyId: string
  readonly version: number
  readonly ruleId: string
  readonly source: string
  readonly effect: Rule['effect']['kind']
  readonly mode: Rule['mode']
  /** `won`: it made the decision; `matched`: another was stronger; `missed`: a condition does not hold; `error`: one could not be evaluated. */
  readonly outcome: 'won' | 'matched' | 'missed' | 'error'
  /** The first condition that does not hold. */
  readonly condition: string | null
}

export type Explanation = { readonly decision: Decision; readonly considered: readonly Considered[] }

/** Decides and says why. Rules about other targets are not considered: the index leaves them out. */
export function explain(policy: PolicySet, question: Question): Explanation {
  const decision = decide(policy, question)
  const considered = candidates(policy.index, question)
    .toSorted(byName)
    .map((rule) => consider(rule, question, decision))
  return { decision, considered }
}

function consider(rule: Rule, question: Question, decision: Decision): Considered {
  const miss = firstMiss(rule, question)
  const named = rule.policyId === decision.policyId ? rule.id : `${rule.policyId}/${rule.id}`
  const bears = miss === null || (miss === 'error' && rule.effect.kind !== 'allow')
  const won = bears && rule.mode === 'enforce' && decision.ruleIds.includes(named)
  const outcome = won ? 'won' : miss === null ? 'matched' : miss === 'error' ? 'error' : 'missed'
  const { policyId, version, id: ruleId, source, effect, mode } = rule
  const condition = miss === 'when' || miss === 'error' ? (rule.when?.text ?? null) : miss
  return { policyId, version, ruleId, source, effect: effect.kind, mode, outcome, condition }
}
