// Expressions of policies: parsed, checked and planned once when a policy is loaded, then asked per call. The only user of
// the CEL engine. An answer counts only when it is exactly true or false; everything else is an error, which never helps
// the caller.
import { celEnv, CelScalar, parse, plan } from '@bufbuild/cel'
import {
  policyConditionCharsMax,
  policyListItemsMax,
  policyNestedListItemsMax,
  policyNestedMembersMax,
} from '../../domain/limits.ts'
import type { CompileCondition, Question } from '../../domain/policy/rule.ts'
import { checkExpression } from './check.ts'
import { bind, facts } from './facts.ts'
import { impliedTools } from './implied.ts'
import type { Expr } from './walk.ts'

const environment = celEnv({
  variables: Object.fromEntries(Object.keys(facts).map((name) => [name, CelScalar.DYN])),
})

/** Compiles a condition for the phases of its rule. Source: CEL language definition; the caps are `domain/limits.ts`. */
export const compileCondition: CompileCondition = (text, phases) => {
  if (text.length > policyConditionCharsMax) return { faults: [`is longer than ${policyConditionCharsMax} characters`] }
  const expr = parsed(text)
  if (typeof expr === 'string') return { faults: [expr] }
  const { faults, nesting } = checkExpression(expr, phases)
  if (faults.length > 0) return { faults }
  const toolNames = impliedTools(expr)
  return { condition: { text, ...(toolNames && { toolNames }), holds: evaluator(expr, nesting) } }
}

function parsed(text: string): Expr | string {
  try {
    return parse(text).expr
  } catch (error) {
    return `is no expression: ${error instanceof Error ? error.message.replace('<input>:', '') : 'it cannot be read'}`
  }
}

const listMax = (nesting: number) =>
  nesting === 0 ? Number.POSITIVE_INFINITY : nesting === 1 ? policyListItemsMax : policyNestedListItemsMax

function evaluator(expr: Expr, nesting: number): (question: Question) => boolean | 'error' {
  const evaluate = plan(environment, expr) as (values: Readonly<Record<string, unknown>>) => unknown
  const itemsMax = listMax(nesting)
  return (question) => {
    try {
      const { values, longest, members } = bind(question)
      if (longest > itemsMax || (nesting > 1 && members > policyNestedMembersMax)) return 'error'
      const result = evaluate(values)
      return typeof result === 'boolean' ? result : 'error'
    } catch {
      return 'error'
    }
  }
}
