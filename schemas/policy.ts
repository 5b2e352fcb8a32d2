// Policies on the wire (contracts 17): texts and versions, the question that explain and tables of tests ask, the answer.
import { z } from 'zod'
import {
  policyFaultsMax,
  policyFileBytesMax,
  policyTestCasesMax,
  policyTestPoliciesMax,
  pageItemsDefault,
  pageItemsMax,
} from '../domain/limits.ts'
import { actions, phases } from '../domain/policy/rule.ts'
import { effectClasses } from '../domain/tool.ts'
import { PlainText } from './common.ts'

const PolicyId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and dashes')
const Version = z.number().int().positive()
const Text = PlainText.min(1).max(policyFileBytesMax)
const FileName = z.string().regex(/^[\w./-]{1,200}$/, 'must be a plain file name')
const names = z.array(z.string().min(1).max(200)).max(50).default([])
const Faults = z.array(z.string()).max(policyFaultsMax)

export const PolicyParams = z.object({ id: PolicyId })
export const PolicyVersionParams = z.object({
  id: PolicyId,
  version: z
    .string()
    .regex(/^[1-9]\d{0,8}$/)
    .transform(Number),
})
export const VersionsQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .pipe(z.number().min(1).max(pageItemsMax))
    .default(pageItemsDefault),
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,8}$/)
    .optional(),
})

export const PolicyOrder = z.strictObject({ text: Text })
export const RollbackOrder = z.strictObject({ version: Version })
export const ValidateOrder = z.strictObject({ name: FileName.default('policy.yaml'), text: Text })

/** Faults are `file:line: rule: field: what`. `notEnforced`: parts that were read and that nothing obeys yet. */
export const ValidateAnswer = z.union([
  z.object({
    valid: z.literal(true),
    policyId: z.string(),
    version: Version,
    rules: z.number().int(),
    notEnforced: z.array(z.string()),
  }),
  z.object({ valid: z.literal(false), faults: Faults }),
])
export type ValidateAnswer = z.output<typeof ValidateAnswer>

const facts = {
  policyId: z.string(),
  version: Version,
  source: z.enum(['file', 'api']),
  name: z.string(),
  sha256: z.string(),
}
export const PolicyList = z.object({ epoch: z.number().int(), policies: z.array(z.object(facts)) })
export const PolicyDetail = z.object({ ...facts, text: z.string() })
export type PolicyDetail = z.output<typeof PolicyDetail>
/** `retiredAt`: when another version, or none, took its place. */
export const PolicyVersionPage = z.object({
  versions: z.array(
    z.object({
      ...facts,
      active: z.boolean(),
      createdBy: z.string(),
      createdAt: z.iso.datetime(),
      retiredAt: z.iso.datetime().nullable(),
    }),
  ),
  cursor: z.string().nullable(),
})
export type PolicyVersionPage = z.output<typeof PolicyVersionPage>
/** What a change made of an id, and the epoch since which it holds. Version null: none is active. */
export const PolicyChanged = z.object({ policyId: z.string(), version: Version.nullable(), epoch: z.number().int() })
export type PolicyChanged = z.output<typeof PolicyChanged>

const Address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, 'must be an address')
  .transform((text) => text.toLowerCase())

const question = {
  principal: z
    .strictObject({
      wallet: Address.default('0x0000000000000000000000000000000000000001'),
      /** The wallet's own when absent. */
      tenant: z.string().min(1).max(100).optional(),
      subject: z.string().min(1).max(200).optional(),
      roles: z
        .array(z.enum(['owner', 'approver', 'admin', 'operator']))
        .max(4)
        .default(['owner']),
      scopes: names,
      /** Agents that act, the present one first. */
      agents: names,
      assurance: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]).default(1),
    })
    .prefault({}),
  risk: z.number().int().min(0).max(100).optional(),
  action: z.enum(actions),
  /** `kind:name`, such as `tool:everything/echo`. */
  resource: z.string().regex(/^(agent|session|model|tool|codec|policy):.{1,300}$/, 'must be kind:name'),
  /** As the catalogue or the name of the tool says when absent. */
  effectClass: z.enum(effectClasses).optional(),
  /** `caller`, `nobody`, or a wallet. */
  owner: z.union([z.enum(['caller', 'nobody']), Address]).default('caller'),
  /** `list` for a listing and `call` for anything else when absent. */
  phase: z.enum(phases).optional(),
  arguments: z.unknown().optional(),
  toolVersion: z.string().max(100).optional(),
  claims: z.record(z.string(), z.unknown()).optional(),
  destination: z
    .strictObject({ scheme: z.string(), host: z.string(), port: z.number().int(), path: z.string() })
    .optional(),
  availableMicroUsd: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional(),
  origin: z.string().max(50).optional(),
}
/** A question as people write it. */
export const PolicyQuestion = z.strictObject(question)
export type PolicyQuestion = z.output<typeof PolicyQuestion>

const Decision = z.object({
  kind: z.enum(['allow', 'deny', 'require']),
  hard: z.boolean().optional(),
  requirement: z.enum(['approval', 'step-up', 'assurance']).optional(),
  policyId: z.string(),
  version: z.number().int(),
  epoch: z.number().int(),
  ruleIds: z.array(z.string()),
  reason: z.string(),
  observed: z
    .object({ kind: z.enum(['allow', 'deny', 'require']), ruleIds: z.array(z.string()), reason: z.string() })
    .optional(),
  obligations: z.array(z.looseObject({ kind: z.string(), ruleId: z.string() })).optional(),
})

/** `considered` holds the rules that bore on it first; `consideredTotal` counts all whose target fits. */
export const PolicyExplanation = z.object({
  decision: Decision,
  considered: z.array(
    z.object({
      policyId: z.string(),
      version: z.number().int(),
      ruleId: z.string(),
      source: z.string(),
      effect: z.string(),
      mode: z.enum(['enforce', 'observe']),
      outcome: z.enum(['won', 'matched', 'missed', 'error']),
      condition: z.string().nullable(),
    }),
  ),
  consideredTotal: z.number().int(),
})
export type PolicyExplanation = z.output<typeof PolicyExplanation>

export const expectations = [
  'allow',
  'deny',
  'never',
  'require-approval',
  'require-step-up',
  'require-assurance',
] as const

/** A table of tests as it lies beside a policy. */
export const PolicyTable = z.strictObject({
  cases: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(200),
        ...question,
        /** `never` is a deny that nothing lifts; `deny` is met by it as well. */
        expect: z.enum(expectations),
        /** Exactly the rules that decide, where given. */
        rules: z.array(z.string().min(1).max(200)).max(100).optional(),
      }),
    )
    .min(1)
    .max(policyTestCasesMax),
})
export type PolicyTable = z.output<typeof PolicyTable>

/** Without policies, the active ones are put to the test. */
export const TestOrder = z.strictObject({
  name: FileName.default('policy.test.yaml'),
  table: Text,
  policies: z.array(ValidateOrder).max(policyTestPoliciesMax).default([]),
})
export type TestOrder = z.output<typeof TestOrder>

export const TestAnswer = z.object({
  /** Of the table or of the policies; nothing was tried when there are any. */
  faults: Faults,
  passed: z.number().int(),
  failed: z.number().int(),
  results: z.array(
    z.object({
      name: z.string(),
      passed: z.boolean(),
      expected: z.string(),
      actual: z.enum(expectations),
      ruleIds: z.array(z.string()),
      reason: z.string(),
    }),
  ),
})
export type TestAnswer = z.output<typeof TestAnswer>
