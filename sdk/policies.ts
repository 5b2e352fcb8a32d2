// Policies for operators: what is active, trials that keep nothing, and changes of what no file keeps.
import { z } from 'zod'
import type { Transport } from './http.ts'

const facts = { policyId: z.string(), version: z.number(), source: z.string(), name: z.string(), sha256: z.string() }
const PolicySummary = z.looseObject(facts)
export type PolicySummary = z.output<typeof PolicySummary>
const PolicyList = z.looseObject({ epoch: z.number(), policies: z.array(PolicySummary) })
const PolicyDetail = z.looseObject({ ...facts, text: z.string() })
export type PolicyDetail = z.output<typeof PolicyDetail>
const PolicyVersion = z.looseObject({
  ...facts,
  active: z.boolean(),
  createdBy: z.string(),
  createdAt: z.string(),
  retiredAt: z.string().nullable(),
})
export type PolicyVersion = z.output<typeof PolicyVersion>
const PolicyVersions = z.looseObject({ versions: z.array(PolicyVersion), cursor: z.string().nullable() })
const Changed = z.looseObject({ policyId: z.string(), version: z.number().nullable(), epoch: z.number() })
export type PolicyChanged = z.output<typeof Changed>
const Validation = z.looseObject({
  valid: z.boolean(),
  policyId: z.string().optional(),
  version: z.number().optional(),
  rules: z.number().optional(),
  faults: z.array(z.string()).optional(),
  notEnforced: z.array(z.string()).optional(),
})
export type PolicyValidation = z.output<typeof Validation>
const Explanation = z.looseObject({
  decision: z.looseObject({
    kind: z.string(),
    requirement: z.string().optional(),
    hard: z.boolean().optional(),
    policyId: z.string(),
    version: z.number(),
    epoch: z.number(),
    ruleIds: z.array(z.string()),
    reason: z.string(),
    observed: z.looseObject({ kind: z.string(), ruleIds: z.array(z.string()) }).optional(),
  }),
  considered: z.array(
    z.looseObject({
      policyId: z.string(),
      version: z.number(),
      ruleId: z.string(),
      source: z.string(),
      effect: z.string(),
      mode: z.string(),
      outcome: z.string(),
      condition: z.string().nullable(),
    }),
  ),
  consideredTotal: z.number(),
})
export type PolicyExplanation = z.output<typeof Explanation>
const Tested = z.looseObject({
  faults: z.array(z.string()),
  passed: z.number(),
  failed: z.number(),
  results: z.array(
    z.looseObject({
      name: z.string(),
      passed: z.boolean(),
      expected: z.string(),
      actual: z.string(),
      ruleIds: z.array(z.string()),
      reason: z.string(),
    }),
  ),
})
export type PolicyTested = z.output<typeof Tested>

/** A text with the name that its faults carry. */
export type PolicyText = { readonly name?: string; readonly text: string }

/** Who would do what; everything but action and resource may be left out. */
export type PolicyQuestion = {
  readonly action: string
  /** `kind:name`, such as `tool:everything/echo`. */
  readonly resource: string
  readonly principal?: {
    readonly wallet?: string
    readonly tenant?: string
    readonly subject?: string
    readonly roles?: readonly string[]
    readonly scopes?: readonly string[]
    readonly agents?: readonly string[]
    readonly assurance?: number
  }
  readonly [fact: string]: unknown
}

const root = '/api/v1/policies'
const pathOf = (id: string, rest = '') => `${root}/${encodeURIComponent(id)}${rest}`

export function createPolicies(transport: Transport) {
  return {
    /**
     * The active policies and their epoch.
     *
     * @example
     * const { epoch, policies } = await client.policies.list()
     */
    list: () => transport.call({ method: 'GET', path: root }, PolicyList),
    /**
     * The active version of a policy with its text, or another version of it.
     *
     * @example
     * const { version, text } = await client.policies.get('default')
     */
    get: (id: string, version?: number): Promise<PolicyDetail> =>
      transport.call(
        { method: 'GET', path: pathOf(id, version === undefined ? '' : `/versions/${version}`) },
        PolicyDetail,
      ),
    /**
     * Versions of a policy, latest first, a page at a time.
     *
     * @example
     * const { versions, cursor } = await client.policies.versions('guests')
     */
    versions: (id: string, cursor?: string) =>
      transport.call(
        { method: 'GET', path: pathOf(id, `/versions${cursor === undefined ? '' : `?cursor=${cursor}`}`) },
        PolicyVersions,
      ),
    /**
     * Makes a text the next version of its id, in force everywhere within a second.
     *
     * @example
     * const { epoch } = await client.policies.put('guests', text)
     */
    put: (id: string, text: string): Promise<PolicyChanged> =>
      transport.call({ method: 'PUT', path: pathOf(id), body: { text } }, Changed),
    /**
     * Makes an older version active again.
     *
     * @example
     * await client.policies.rollback('guests', 3)
     */
    rollback: (id: string, version: number): Promise<PolicyChanged> =>
      transport.call({ method: 'POST', path: pathOf(id, '/rollback'), body: { version } }, Changed),
    /**
     * Retires a policy; its versions stay.
     *
     * @example
     * await client.policies.retire('guests')
     */
    retire: (id: string): Promise<PolicyChanged> => transport.call({ method: 'DELETE', path: pathOf(id) }, Changed),
    /**
     * Whether a text is usable, with every fault. Nothing is kept.
     *
     * @example
     * const { valid, faults } = await client.policies.validate({ name: 'guests.yaml', text })
     */
    validate: (text: PolicyText): Promise<PolicyValidation> =>
      transport.call({ method: 'POST', path: `${root}/validate`, body: text }, Validation),
    /**
     * What the active policies make of a question, and why.
     *
     * @example
     * const { decision } = await client.policies.explain({ action: 'tool.call', resource: 'tool:everything/echo' })
     */
    explain: (question: PolicyQuestion): Promise<PolicyExplanation> =>
      transport.call({ method: 'POST', path: `${root}/explain`, body: question }, Explanation),
    /**
     * Puts a table of tests to the policies given, or to the active ones.
     *
     * @example
     * const { failed, results } = await client.policies.test({ table, policies: [{ name: 'guests.yaml', text }] })
     */
    test: (order: {
      readonly name?: string
      readonly table: string
      readonly policies?: readonly PolicyText[]
    }): Promise<PolicyTested> => transport.call({ method: 'POST', path: `${root}/test`, body: order }, Tested),
  }
}
