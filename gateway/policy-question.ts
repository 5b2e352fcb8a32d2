// Questions as people write them, put to a set of policies: explained one by one, or a table of them with what is expected.
import { policyExplainedRulesMax, policyFaultsMax } from '../domain/limits.ts'
import { decide, policySet, type Decision, type PolicySet } from '../domain/policy/combine.ts'
import { explain, type Considered } from '../domain/policy/explain.ts'
import type { Question, Resource, Rule } from '../domain/policy/rule.ts'
import { classifyTool, type EffectClass } from '../domain/tool.ts'
import type { PolicyExplanation, PolicyQuestion, PolicyTable, TestAnswer, TestOrder } from '../schemas/policy.ts'
import type { CompilePolicy } from './policies.ts'

/** Parses a table of tests, or says what is wrong with it. */
export type ParseTable = (
  name: string,
  text: string,
) => { readonly table: PolicyTable } | { readonly faults: readonly string[] }

/** What the catalogue says of tools, by `server/tool`. */
export type ToolClasses = Readonly<Record<string, EffectClass>>

/** The question that a call of this kind would put. */
export function toQuestion(asked: PolicyQuestion, classes: ToolClasses): Question {
  const { principal: who, action, phase = action === 'tool.list' ? 'list' : 'call', owner } = asked
  const cut = asked.resource.indexOf(':')
  const kind = asked.resource.slice(0, cut) as Resource['kind']
  const name = asked.resource.slice(cut + 1)
  const effectClass = asked.effectClass ?? (kind === 'tool' ? classOf(name, classes) : 'read')
  return {
    principal: {
      ...{ tenant: who.tenant ?? who.wallet, subject: { kind: 'human', id: who.subject ?? who.wallet } },
      ...{ wallet: who.wallet, walletId: 0n, roles: who.roles, scopes: who.scopes, permissions: ['*:*'] },
      actorChain: who.agents.map((id) => ({ kind: 'agent', id })),
      ...{ proof: { kind: 'none' }, assurance: who.assurance, sessionIds: { usid: 'asked' }, gate: [] },
      ...{ tokenId: 'asked', expiresAt: new Date(0) },
    },
    session: asked.risk === undefined ? null : { id: 'asked', risk: asked.risk },
    action,
    resource: { kind, name, effectClass, owner: owner === 'caller' ? who.wallet : owner === 'nobody' ? null : owner },
    facts: {
      ...{ phase, arguments: asked.arguments ?? null, claims: asked.claims ?? null },
      tool: { version: asked.toolVersion ?? null, schemaSha256: null },
      destination: asked.destination ?? null,
      budget: asked.availableMicroUsd === undefined ? null : { availableMicros: BigInt(asked.availableMicroUsd) },
      ...(asked.origin === undefined ? {} : { origin: asked.origin }),
    },
  }
}

function classOf(name: string, classes: ToolClasses): EffectClass {
  return classifyTool(name.slice(name.indexOf('/') + 1), Object.hasOwn(classes, name) ? classes[name] : undefined)
}

const weight = { won: 0, error: 1, matched: 2, missed: 3 } as const satisfies Record<Considered['outcome'], number>

/** Decides and says why, the rules that bore on it first. */
export function explainQuestion(policy: PolicySet, question: Question): PolicyExplanation {
  const { decision, considered } = explain(policy, question)
  return {
    decision: wireDecision(decision),
    considered: considered.toSorted((a, b) => weight[a.outcome] - weight[b.outcome]).slice(0, policyExplainedRulesMax),
    consideredTotal: considered.length,
  }
}

function wireDecision(decision: Decision): PolicyExplanation['decision'] {
  const { observed, ruleIds, obligations: _obligations, ...rest } = { obligations: [], ...decision }
  const would = observed === undefined ? {} : { observed: { ...observed, ruleIds: [...observed.ruleIds] } }
  const obligations = decision.kind === 'allow' ? { obligations: [...decision.obligations] } : {}
  return { ...rest, ruleIds: [...ruleIds], ...would, ...obligations }
}

export type TableDeps = {
  readonly compile: CompilePolicy
  readonly parseTable: ParseTable
  readonly classes: ToolClasses
  /** What is put to the test when the order brings no policies. */
  readonly active: () => PolicySet
}

/** Puts each case to the policies. What cannot be read is said, and then nothing is tried. */
export function runPolicyTable(deps: TableDeps, { name, table: text, policies }: TestOrder): TestAnswer {
  const parsed = deps.parseTable(name, text)
  const set = policies.length === 0 ? { set: deps.active() } : setOf(policies, deps.compile)
  const faults = [...('faults' in parsed ? parsed.faults : []), ...('faults' in set ? set.faults : [])]
  if ('faults' in parsed || 'faults' in set)
    return { faults: faults.slice(0, policyFaultsMax), passed: 0, failed: 0, results: [] }
  const results = parsed.table.cases.map(({ name: title, expect, rules, ...asked }) => {
    const decision = decide(set.set, toQuestion(asked, deps.classes))
    const actual = expectationOf(decision)
    const isWanted = actual === expect || (expect === 'deny' && actual === 'never')
    const passed = isWanted && (rules === undefined || isSame(rules, decision.ruleIds))
    const expected = rules === undefined ? expect : `${expect} by ${rules.join(', ')}`
    return { name: title, passed, expected, actual, ruleIds: [...decision.ruleIds], reason: decision.reason }
  })
  const passed = results.filter((each) => each.passed).length
  return { faults, passed, failed: results.length - passed, results }
}

const isSame = (a: readonly string[], b: readonly string[]) => a.toSorted().join('\n') === b.toSorted().join('\n')

function expectationOf(decision: Decision): TestAnswer['results'][number]['actual'] {
  if (decision.kind === 'require') return `require-${decision.requirement}`
  return decision.kind === 'deny' && decision.hard ? 'never' : decision.kind
}

function setOf(
  policies: TestOrder['policies'],
  compile: CompilePolicy,
): { readonly set: PolicySet } | { readonly faults: readonly string[] } {
  const rules: Rule[] = []
  const faults: string[] = []
  const ids = new Set<string>()
  for (const { name, text } of policies) {
    const made = compile(name, text)
    if ('faults' in made) faults.push(...made.faults)
    else if (ids.has(made.policy.policyId)) faults.push(`${name}:1: policy: ${made.policy.policyId} is given twice`)
    else {
      ids.add(made.policy.policyId)
      rules.push(...made.policy.rules)
    }
  }
  return faults.length > 0 ? { faults } : { set: policySet({ policyId: 'table', version: 0, epoch: 0, rules }) }
}
