// What must hold for every set of rules, over any implementation of decisions, so that planted bugs can be held against it.
import fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import type { Decision, PolicySet } from '../../domain/policy/combine.ts'
import type { Question, Rule } from '../../domain/policy/rule.ts'
import { anyDeny, anyQuestion, anyRules } from './policy-cases.ts'
import { factsOf, refer } from './policy-reference.ts'

export type Implementation = {
  readonly policySet: (set: Omit<PolicySet, 'index'>) => PolicySet
  readonly decide: (policy: PolicySet, question: Question) => Decision
}

export type Run = { readonly seed: number; readonly cases: number }

const rank = { deny: 0, require: 1, allow: 2 } as const

/** Throws with the smallest counterexample when a property does not hold. */
export function assertPolicyProperties({ policySet, decide }: Implementation, { seed, cases }: Run): void {
  const made = (rules: readonly Rule[], question: Question) =>
    decide(policySet({ policyId: 'test', version: 3, epoch: 7, rules }), question)
  const options = { seed, numRuns: Math.ceil(cases / 3) }
  fc.assert(
    fc.property(anyRules, anyQuestion, (rules, asked) =>
      isDeepStrictEqual(factsOf(made(rules, asked)), refer(rules, asked)),
    ),
    options,
  )
  fc.assert(
    fc.property(anyRules, anyDeny, anyQuestion, (rules, deny, asked) => {
      return rank[made([...rules, deny], asked).kind] <= rank[made(rules, asked).kind]
    }),
    options,
  )
  fc.assert(
    fc.property(
      anyRules.chain((rules) => fc.tuple(fc.constant(rules), fc.shuffledSubarray(rules, { minLength: rules.length }))),
      anyQuestion,
      ([rules, shuffled], asked) => isDeepStrictEqual(made(shuffled, asked), made(rules, asked)),
    ),
    options,
  )
}
