// Rules found by what they are about: phase, then the narrowest of resource, tool, server, wallet, subject, tenant, agent,
// role and scope. A question meets only the rules that could match it, so rules about other things cost nothing.
import { policyNamesMax } from '../limits.ts'
import type { Principal } from '../principal.ts'
import type { Phase, Question, Rule, RuleMatch } from './rule.ts'

type Shelf = {
  readonly byKey: Map<string, Rule[]>
  readonly general: Rule[]
  /** Whether rules stand below names of resources: what a principal alone does not find. */
  hasResources: boolean
  /** How long the fixed beginnings and ends are below which rules stand: few, however many rules. */
  readonly lengths: { readonly [K in Part]: Set<number> }
  /** Rules below the names of a resource, by kind and name. */
  readonly known: Map<string, Map<string, readonly Rule[]>>
  /** Rules that a principal finds whatever it asks for: lists ask about many tools. */
  readonly found: WeakMap<Principal, readonly Rule[]>
}

/** Fixed parts of patterns: beginnings of `kind:name`, of names of tools, and their ends. */
type Part = 'starts' | 'head' | 'tail'

export type RuleIndex = ReadonlyMap<Phase, Shelf>

/** Sorts the rules into shelves. Within a shelf they stand in the order of their names, whatever file they came from. */
export function indexRules(rules: readonly Rule[]): RuleIndex {
  const index = new Map<Phase, Shelf>()
  for (const rule of rules.toSorted(byName)) {
    for (const phase of new Set(rule.phases)) file(shelfOf(index, phase), rule)
  }
  return index
}

/** Rules that may match a question, each once. */
export function candidates(index: RuleIndex, question: Question): readonly Rule[] {
  const shelf = index.get(question.facts.phase)
  if (shelf === undefined) return []
  const standing = foundByPrincipal(shelf, question.principal)
  const found = foundByResource(shelf, question.resource)
  return found.length === 0 ? standing : [...standing, ...found] // each rule stands below names of one condition only
}

const noRules: readonly Rule[] = []

// What is asked about is asked about again, and the rules below its name stay until the next index.
function foundByResource(shelf: Shelf, resource: Question['resource']): readonly Rule[] {
  if (!shelf.hasResources) return noRules
  const { known } = shelf
  const ofKind = known.get(resource.kind) ?? new Map<string, readonly Rule[]>()
  const before = ofKind.get(resource.name)
  if (before) return before
  const found = keysOfResource(resource).flatMap((key) => shelf.byKey.get(key) ?? [])
  const fitting = foundByParts(shelf, resource)
  const rules = fitting.length === 0 ? found : [...found, ...new Set(fitting)] // two patterns of one rule may fit
  if (ofKind.size >= policyNamesMax) ofKind.clear()
  known.set(resource.kind, ofKind.set(resource.name, rules))
  return rules
}

function foundByParts({ byKey, lengths }: Shelf, { kind, name }: Question['resource']): Rule[] {
  const found: Rule[] = []
  const look = (part: Part, text: string) => {
    for (const length of lengths[part]) {
      if (length > text.length) continue
      const fixed = part === 'tail' ? text.slice(text.length - length) : text.slice(0, length)
      for (const rule of byKey.get(`${part}:${fixed}`) ?? []) found.push(rule)
    }
  }
  const lower = name.toLowerCase()
  if (lengths.starts.size > 0) look('starts', `${kind}:${lower}`)
  if (kind === 'tool' && lengths.head.size + lengths.tail.size > 0) {
    const tool = lower.slice(lower.indexOf('/') + 1)
    look('head', tool)
    look('tail', tool)
  }
  return found
}

function foundByPrincipal(shelf: Shelf, principal: Principal): readonly Rule[] {
  const before = shelf.found.get(principal)
  if (before) return before
  const found = keysOfPrincipal(principal).flatMap((key) => shelf.byKey.get(key) ?? [])
  const rules = found.length === 0 ? shelf.general : [...new Set([...shelf.general, ...found])]
  shelf.found.set(principal, rules)
  return rules
}

export function byName(a: Rule, b: Rule): number {
  return compare(a.id, b.id) || compare(a.policyId, b.policyId) || compare(a.source, b.source)
}

const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b))

function shelfOf(index: Map<Phase, Shelf>, phase: Phase): Shelf {
  const known = index.get(phase)
  if (known) return known
  const shelf: Shelf = {
    byKey: new Map(),
    general: [],
    hasResources: false,
    lengths: { starts: new Set(), head: new Set(), tail: new Set() },
    known: new Map(),
    found: new WeakMap(),
  }
  index.set(phase, shelf)
  return shelf
}

function file(shelf: Shelf, rule: Rule): void {
  const keys = keysOfRule(rule)
  if (keys === null) return void shelf.general.push(rule)
  for (const key of new Set(keys)) {
    if (ofResources.test(key)) shelf.hasResources = true
    const [, part] = /^(starts|head|tail):/.exec(key) ?? []
    if (part !== undefined) shelf.lengths[part as Part].add(key.length - part.length - 1)
    const rules = shelf.byKey.get(key)
    if (rules) rules.push(rule)
    else shelf.byKey.set(key, [rule])
  }
}

// Narrowest first. A rule stands below the names of one condition only.
function keysOfRule({ match, when }: Rule): string[] | null {
  return (
    exactly(match.resources) ??
    exactTools(match) ??
    prefixed('named', when?.toolNames) ??
    serversOf(match) ??
    partsOfTools(match) ??
    startsOf(match.resources) ??
    prefixed('wallet', match.wallets) ??
    prefixed('subject', lower(match.subjects)) ??
    prefixed('tenant', match.tenants) ??
    prefixed('agent', lower(match.agents)) ??
    prefixed('role', lower(match.roles)) ??
    prefixed('scope', match.scopes)
  )
}

const lower = (names: readonly string[] | undefined) => names?.map((name) => name.toLowerCase())

function exactly(resources: readonly string[] | undefined): string[] | null {
  if (resources === undefined || resources.some((pattern) => pattern.endsWith('*'))) return null
  return resources.map((name) => `exact:${name.toLowerCase()}`)
}

function exactTools({ tools }: RuleMatch): string[] | null {
  if (tools === undefined || tools.some(({ server, tool }) => `${server}${tool}`.includes('*'))) return null
  return tools.map(({ server, tool }) => `exact:tool:${server}/${tool}`.toLowerCase())
}

function serversOf({ resources, tools }: RuleMatch): string[] | null {
  if (tools !== undefined) {
    return tools.some(({ server }) => server.includes('*'))
      ? null
      : tools.map(({ server }) => `server:${server}`.toLowerCase())
  }
  const servers = resources?.map((pattern) => /^tool:([^/*]+)\//.exec(pattern)?.[1])
  if (servers === undefined || servers.includes(undefined)) return null
  return servers.map((server) => `server:${server}`.toLowerCase())
}

// A tool of any server, found by what its pattern begins with, or ends with.
function partsOfTools({ tools }: RuleMatch): string[] | null {
  const keys = tools?.map(({ tool }) => {
    const [head = '', ...rest] = tool.toLowerCase().split('*')
    if (head !== '') return `head:${head}`
    const tail = rest.at(-1) ?? ''
    return tail === '' ? undefined : `tail:${tail}`
  })
  return keys === undefined || keys.includes(undefined) ? null : (keys as string[])
}

// Resources are covered exactly or by a beginning.
function startsOf(resources: readonly string[] | undefined): string[] | null {
  const starts = resources?.map((pattern) => pattern.replace(/\*$/, '').toLowerCase())
  return starts === undefined || starts.includes('') ? null : starts.map((start) => `starts:${start}`)
}

const prefixed = (kind: string, names: readonly string[] | undefined): string[] | null =>
  names === undefined ? null : names.map((name) => `${kind}:${name}`)

const ofResources = /^(?:exact|server|named|starts|head|tail):/

function keysOfResource(resource: Question['resource']): string[] {
  const name = resource.name.toLowerCase()
  const cut = Math.max(0, name.indexOf('/'))
  return [
    `exact:${resource.kind}:${name}`,
    ...(resource.kind === 'tool' ? [`server:${name.slice(0, cut)}`, `named:${resource.name.slice(cut + 1)}`] : []),
  ]
}

function keysOfPrincipal(principal: Principal): string[] {
  return [
    `wallet:${principal.wallet}`,
    `subject:${principal.subject.id.toLowerCase()}`,
    `tenant:${principal.tenant}`,
    ...principal.actorChain.map(({ id }) => `agent:${id.toLowerCase()}`),
    ...principal.roles.map((role) => `role:${role.toLowerCase()}`),
    ...principal.scopes.map((scope) => `scope:${scope}`),
  ]
}
