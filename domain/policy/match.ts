// Whether a rule speaks of a question, and by which of its conditions it does not.
import { covers, fitsTool, type ToolPattern } from './pattern.ts'
import type { Question, Rule, RuleMatch } from './rule.ts'

type Test = (match: RuleMatch, question: Question) => boolean

const isTool = ({ resource, facts }: Question, patterns: readonly ToolPattern[]) =>
  patterns.some((pattern) => fitsTool(pattern, resource.name, facts.tool?.version ?? null))
const someOf = (wanted: readonly string[], held: readonly string[]) =>
  held.some((each) => wanted.some((name) => name.toLowerCase() === each.toLowerCase()))

const tests: Readonly<Record<keyof RuleMatch, Test>> = {
  actions: (match, { action }) => match.actions?.includes(action) ?? true,
  resources: (match, { resource }) =>
    match.resources?.some((pattern) => covers(pattern, `${resource.kind}:${resource.name}`)) ?? true,
  tools: (match, question) =>
    match.tools === undefined || (question.resource.kind === 'tool' && isTool(question, match.tools)),
  exceptTools: (match, question) =>
    match.exceptTools === undefined || (question.resource.kind === 'tool' && !isTool(question, match.exceptTools)),
  classes: (match, { resource }) => match.classes?.includes(resource.effectClass) ?? true,
  actors: (match, { principal }) =>
    match.actors === undefined || (match.actors === 'some') === principal.actorChain.length > 0,
  agents: (match, { principal }) =>
    match.agents === undefined ||
    someOf(
      match.agents,
      principal.actorChain.map((actor) => actor.id),
    ),
  subjects: (match, { principal }) => match.subjects === undefined || someOf(match.subjects, [principal.subject.id]),
  wallets: (match, { principal }) => match.wallets?.includes(principal.wallet) ?? true,
  tenants: (match, { principal }) => match.tenants?.includes(principal.tenant) ?? true,
  roles: (match, { principal }) => match.roles === undefined || someOf(match.roles, principal.roles),
  scopes: (match, { principal }) => match.scopes?.some((scope) => principal.scopes.includes(scope)) ?? true,
  owner: (match, { principal, resource }) =>
    match.owner === undefined || match.owner === (resource.owner === principal.wallet),
}
const names = Object.keys(tests) as (keyof RuleMatch)[]

// Which conditions a rule has, in the order in which they are looked at.
const known = new WeakMap<RuleMatch, readonly (keyof RuleMatch)[]>()

function namesIn(match: RuleMatch): readonly (keyof RuleMatch)[] {
  const before = known.get(match)
  if (before) return before
  const present = names.filter((name) => match[name] !== undefined)
  known.set(match, present)
  return present
}

/** The first condition that the question does not meet; null when it meets all. `phase` and `when` included. */
export function firstMiss(rule: Rule, question: Question): keyof RuleMatch | 'phase' | 'when' | 'error' | null {
  if (!rule.phases.includes(question.facts.phase)) return 'phase'
  for (const name of namesIn(rule.match)) if (!tests[name](rule.match, question)) return name
  if (rule.when === undefined) return null
  const holds = rule.when.holds(question)
  if (holds === 'error') return 'error'
  return holds ? null : 'when'
}
