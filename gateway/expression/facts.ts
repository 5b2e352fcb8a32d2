// The facts an expression may read, by name, type and phase, and how a question becomes them. Plain data only: no class
// instance is ever bound. Whole numbers of JSON are ints, others doubles.
import type { Phase, Question } from '../../domain/policy/rule.ts'
import { phases } from '../../domain/policy/rule.ts'
import { bool, dyn, int, listOf, objectOf, string, type Type } from './types.ts'

export type Fact = { readonly type: Type; readonly phases: readonly Phase[] }

const inCalls: readonly Phase[] = ['call', 'exchange']
const always = (type: Type): Fact => ({ type, phases })
const strings = listOf(string)

const principal = objectOf('principal', {
  tenant: string,
  kind: string,
  id: string,
  wallet: string,
  assurance: int,
  scopes: strings,
  roles: strings,
  permissions: strings,
  proof: string,
  aan: string,
  spiffeId: string,
})
const tool = objectOf('tool', { name: string, server: string, version: string, class: string, schemaSha256: string })

/** Declared facts. `jwt` and `mcp` are the names that agentgateway policies use. */
export const facts: Readonly<Record<string, Fact>> = {
  principal: always(principal),
  actor: always(objectOf('actor', { present: bool, kind: string, id: string, chain: strings })),
  session: always(objectOf('session', { id: string, risk: int })),
  tool: always(tool),
  resource: always(objectOf('resource', { kind: string, name: string, class: string, owner: string, owned: bool })),
  action: always(string),
  request: always(objectOf('request', { origin: string, phase: string })),
  claims: always(dyn),
  jwt: always(dyn),
  attestation: always(objectOf('attestation', { tee: bool })),
  args: { type: dyn, phases: ['call'] },
  destination: {
    type: objectOf('destination', { scheme: string, host: string, port: int, path: string }),
    phases: inCalls,
  },
  budget: { type: objectOf('budget', { availableMicros: int }), phases: inCalls },
  mcp: always(objectOf('mcp', { tool: objectOf('mcp.tool', { name: string, arguments: dyn }) })),
}

/** Facts below an object that not every phase has. */
export const narrowed: Readonly<Record<string, readonly Phase[]>> = { 'mcp.tool.arguments': ['call'] }

export type Bound = {
  readonly values: Readonly<Record<string, unknown>>
  /** Length of the longest list or map below arguments and claims. */
  readonly longest: number
  /** Values at any depth of both. */
  readonly members: number
}

const known = new WeakMap<Question, Bound>()

/** The facts of a question, made once for all the expressions that read them. Throws for what no JSON holds. */
export function bind(question: Question): Bound {
  const before = known.get(question)
  if (before) return before
  const bound = bindNew(question)
  known.set(question, bound)
  return bound
}

function bindNew(question: Question): Bound {
  const { action, resource, facts: given, principal: who } = question
  const sizes = { longest: 0, members: 0 }
  const args = plain(given.arguments ?? null, sizes)
  const claims = plain(given.claims ?? null, sizes)
  const { destination, budget, attestation } = given
  const named = toolOf(question)
  const values = {
    principal: principalOf(question),
    actor: actorOf(who.actorChain),
    session: question.session && { id: question.session.id, risk: BigInt(Math.round(question.session.risk)) },
    tool: named,
    resource: {
      kind: resource.kind,
      name: resource.name,
      class: resource.effectClass,
      owner: resource.owner,
      owned: resource.owner === who.wallet,
    },
    action,
    request: { origin: given.origin ?? null, phase: given.phase },
    claims,
    jwt: claims,
    attestation: attestation ?? null,
    args,
    destination: destination ? { ...destination, port: BigInt(destination.port) } : null,
    budget: budget ?? null,
    mcp: { tool: { name: named.name, arguments: args } },
  }
  return { values, longest: sizes.longest, members: sizes.members }
}

function principalOf({ principal: who }: Question): Record<string, unknown> {
  return {
    tenant: who.tenant,
    kind: who.subject.kind,
    id: who.subject.id,
    wallet: who.wallet,
    assurance: BigInt(who.assurance),
    scopes: [...who.scopes],
    roles: [...who.roles],
    permissions: [...who.permissions],
    proof: who.proof.kind,
    aan: null,
    spiffeId: null,
  }
}

function actorOf(chain: Question['principal']['actorChain']): Record<string, unknown> {
  const current = chain[0]
  return {
    present: current !== undefined,
    kind: current?.kind ?? null,
    id: current?.id ?? null,
    chain: chain.map((actor) => actor.id),
  }
}

function toolOf({ resource, facts: given }: Question) {
  if (resource.kind !== 'tool') return { name: null, server: null, version: null, class: null, schemaSha256: null }
  const cut = resource.name.indexOf('/')
  return {
    name: resource.name.slice(cut + 1),
    server: cut < 0 ? null : resource.name.slice(0, cut),
    version: given.tool?.version ?? null,
    class: resource.effectClass,
    schemaSha256: given.tool?.schemaSha256 ?? null,
  }
}

function plain(value: unknown, sizes: { longest: number; members: number }): unknown {
  sizes.members += 1
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return BigInt(value)
    if (Number.isFinite(value) && !Number.isInteger(value)) return value
    throw new RangeError('A number is not exact.')
  }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (Array.isArray(value)) {
    sizes.longest = Math.max(sizes.longest, value.length)
    return value.map((each) => plain(each, sizes))
  }
  if (typeof value !== 'object') return null // what JSON cannot say
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  sizes.longest = Math.max(sizes.longest, entries.length)
  return Object.fromEntries(entries.map(([name, each]) => [name, plain(each, sizes)]))
}
