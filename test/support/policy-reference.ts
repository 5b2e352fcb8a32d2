// A second reading of what policies mean, as plain as can be: no index, no order, every rule looked at, written from the
// laws and not from the code. Decisions are compared with it.
import type { Decision } from '../../domain/policy/combine.ts'
import type { ToolPattern } from '../../domain/policy/pattern.ts'
import type { Question, Rule } from '../../domain/policy/rule.ts'

export type Reference = {
  readonly kind: Decision['kind']
  readonly hard: boolean
  readonly ruleIds: readonly string[]
  readonly requirement: string | null
  /** `meter/per/amount/burst` of the limits in force. */
  readonly limits: readonly string[]
  readonly observed: Decision['kind'] | null
}

/** What the laws make of a question. */
export function refer(rules: readonly Rule[], question: Question): Reference {
  const enforced = judge(
    rules.filter((rule) => rule.mode === 'enforce'),
    question,
  )
  const would = judge(rules, question)
  return { ...enforced, observed: would.kind === enforced.kind ? null : would.kind }
}

/** The same facts of a decision. */
export function factsOf(decision: Decision): Reference {
  return {
    kind: decision.kind,
    hard: decision.kind === 'deny' && decision.hard,
    ruleIds: decision.ruleIds.map((id) => (id.includes('/') ? id : `${decision.policyId}/${id}`)).toSorted(),
    requirement: decision.kind === 'require' ? decision.requirement : null,
    limits:
      decision.kind === 'allow'
        ? decision.obligations
            .flatMap((each) =>
              each.kind === 'limit' ? [`${each.meter}/${each.per}/${each.amount}/${each.burst ?? each.amount}`] : [],
            )
            .toSorted()
        : [],
    observed: decision.observed?.kind ?? null,
  }
}

type Judged = Omit<Reference, 'observed'>
const none = { hard: false, requirement: null, limits: [] }

function judge(rules: readonly Rule[], question: Question): Judged {
  const bearing = rules.filter((rule) => isAbout(rule, question))
  const held = bearing.filter((rule) => conditionOf(rule, question) === true)
  const broken = bearing.filter((rule) => conditionOf(rule, question) === 'error' && rule.effect.kind !== 'allow')
  const ids = (some: readonly Rule[]) => some.map(({ policyId, id }) => `${policyId}/${id}`).toSorted()
  const hard = [...held, ...broken].filter(({ effect }) => effect.kind === 'deny' && effect.hard)
  if (hard.length > 0) return { ...none, kind: 'deny', hard: true, ruleIds: ids(hard) }
  const denies = [...held.filter(({ effect }) => effect.kind === 'deny'), ...broken]
  if (denies.length > 0) return { ...none, kind: 'deny', ruleIds: ids(denies) }
  const requires = held.filter(
    ({ effect }) =>
      effect.kind === 'require' &&
      !(effect.requirement === 'assurance' && question.principal.assurance >= (effect.assurance ?? 3)),
  )
  if (requires.length > 0) {
    const wants = (requirement: string) =>
      requires.some(({ effect }) => effect.kind === 'require' && effect.requirement === requirement)
    const requirement = wants('approval') ? 'approval' : wants('step-up') ? 'step-up' : 'assurance'
    return { ...none, kind: 'require', requirement, ruleIds: ids(requires) }
  }
  const allows = held.filter(({ effect }) => effect.kind === 'allow')
  if (allows.length === 0) return { ...none, kind: 'deny', ruleIds: [] }
  return { ...none, kind: 'allow', limits: limitsOf(held), ruleIds: ids(allows) }
}

// Of each meter and subject: the best rank that says anything, and of it the lowest amount and the lowest burst.
function limitsOf(held: readonly Rule[]): string[] {
  const limits = held.flatMap(({ effect }) => (effect.kind === 'limit' ? [effect] : []))
  const groups = groupBy(limits)
  return [...groups.entries()]
    .map(([group, members]) => {
      const ranked = (['tool', 'plan', 'default'] as const).map((rank) => members.filter((each) => each.rank === rank))
      const best = ranked.find((some) => some.length > 0) ?? []
      const least = (numbers: readonly number[]) => Math.min(...numbers)
      return `${group}/${least(best.map(({ amount }) => amount))}/${least(best.map(({ amount, burst }) => burst ?? amount))}`
    })
    .toSorted()
}

function groupBy<T extends { readonly meter: string; readonly per: string }>(limits: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const limit of limits) {
    const name = `${limit.meter}/${limit.per}`
    groups.set(name, [...(groups.get(name) ?? []), limit])
  }
  return groups
}

function conditionOf(rule: Rule, question: Question): boolean | 'error' {
  return rule.when === undefined ? true : rule.when.holds(question)
}

function isAbout({ phases, match }: Rule, { principal, action, resource, facts }: Question): boolean {
  if (!phases.includes(facts.phase)) return false
  const name = `${resource.kind}:${resource.name}`
  const star = (pattern: string, text: string) =>
    new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\/-]/g, '\\$&').replaceAll('*', '.*')}$`, 's').test(text)
  const tool = ({ server, tool: wanted, version }: ToolPattern) => {
    const fitsName = star(`${server}/${wanted}`.toLowerCase(), resource.name.toLowerCase())
    const known = facts.tool?.version ?? null
    return fitsName && (version === undefined || version === '*' || (known !== null && star(version, known)))
  }
  const lower = (list: readonly string[]) => list.map((each) => each.toLowerCase())
  const meets = (wanted: readonly string[], had: readonly string[]) =>
    lower(had).some((each) => lower(wanted).includes(each))
  const isTool = resource.kind === 'tool'
  const chain = principal.actorChain.map(({ id }) => id)
  return [
    !match.actions || match.actions.includes(action),
    !match.resources || match.resources.some((pattern) => star(pattern, name)),
    !match.tools || (isTool && match.tools.some(tool)),
    !match.exceptTools || (isTool && !match.exceptTools.some(tool)),
    !match.classes || match.classes.includes(resource.effectClass),
    !match.actors || (match.actors === 'none' ? chain.length === 0 : chain.length > 0),
    !match.agents || meets(match.agents, chain),
    !match.subjects || meets(match.subjects, [principal.subject.id]),
    !match.wallets || match.wallets.includes(principal.wallet),
    !match.tenants || match.tenants.includes(principal.tenant),
    !match.roles || meets(match.roles, principal.roles),
    !match.scopes || match.scopes.some((scope) => principal.scopes.includes(scope)),
    match.owner === undefined || match.owner === (principal.wallet === resource.owner),
  ].every(Boolean)
}
