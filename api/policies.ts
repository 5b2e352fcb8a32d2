// Policies over HTTP, for operators (contracts 17). Files keep their own ids; every other id lives here.
import {
  listPolicies,
  policyVersions,
  putPolicy,
  retirePolicy,
  rollBackPolicy,
  showPolicy,
  validatePolicy,
  type PolicyDeskDeps,
} from '../gateway/policy-desk.ts'
import {
  explainQuestion,
  runPolicyTable,
  toQuestion,
  type ParseTable,
  type ToolClasses,
} from '../gateway/policy-question.ts'
import * as shapes from '../schemas/policy.ts'
import { route, type Route } from './route.ts'

export type PolicyRoutesDeps = PolicyDeskDeps & {
  readonly parseTable: ParseTable
  /** Classes of the tool catalogue. */
  readonly classes: ToolClasses
}

const guard = { kind: 'operator', permission: 'admin:policy' } as const
const common = { family: 'control', guard } as const
const one = { ...common, path: '/api/v1/policies/:id', params: shapes.PolicyParams } as const

export function createPolicyRoutes(deps: PolicyRoutesDeps): Route[] {
  return [...trialRoutes(deps), ...readRoutes(deps), ...changeRoutes(deps)]
}

function trialRoutes(deps: PolicyRoutesDeps): Route[] {
  return [
    route({
      ...common,
      method: 'post',
      idempotency: 'none',
      path: '/api/v1/policies/validate',
      summary: 'Whether a text is a usable policy, with every fault by file, line and field.',
      body: shapes.ValidateOrder,
      responses: { 200: shapes.ValidateAnswer },
      handle: async ({ body }) => ({ status: 200, body: validatePolicy(deps, body) }),
    }),
    route({
      ...common,
      method: 'post',
      idempotency: 'none',
      path: '/api/v1/policies/explain',
      summary: 'What the active policies make of a question: the rules considered, matched and won.',
      body: shapes.PolicyQuestion,
      responses: { 200: shapes.PolicyExplanation },
      async handle({ body }) {
        const answer = explainQuestion(deps.policy.current(), toQuestion(body, deps.classes))
        return { status: 200, body: answer }
      },
    }),
    route({
      ...common,
      method: 'post',
      idempotency: 'none',
      path: '/api/v1/policies/test',
      summary: 'Puts a table of tests to the policies given, or to the active ones.',
      body: shapes.TestOrder,
      responses: { 200: shapes.TestAnswer },
      async handle({ body }) {
        return { status: 200, body: runPolicyTable({ ...deps, active: deps.policy.current }, body) }
      },
    }),
  ]
}

function readRoutes(deps: PolicyRoutesDeps): Route[] {
  return [
    route({
      ...common,
      method: 'get',
      path: '/api/v1/policies',
      summary: 'The active policies and their epoch.',
      responses: { 200: shapes.PolicyList },
      handle: async () => ({ status: 200, body: await listPolicies(deps) }),
    }),
    route({
      ...one,
      method: 'get',
      summary: 'The active version of a policy with its text.',
      responses: { 200: shapes.PolicyDetail },
      handle: async ({ params }) => ({ status: 200, body: await showPolicy(deps, params) }),
    }),
    route({
      ...common,
      method: 'get',
      path: '/api/v1/policies/:id/versions',
      params: shapes.PolicyParams,
      query: shapes.VersionsQuery,
      summary: 'Every version of a policy, latest first.',
      responses: { 200: shapes.PolicyVersionPage },
      async handle({ params, query }) {
        return {
          status: 200,
          body: await policyVersions(deps, { ...params, limit: query.limit, cursor: query.cursor }),
        }
      },
    }),
    route({
      ...common,
      method: 'get',
      path: '/api/v1/policies/:id/versions/:version',
      params: shapes.PolicyVersionParams,
      summary: 'One version of a policy with its text.',
      responses: { 200: shapes.PolicyDetail },
      handle: async ({ params }) => ({ status: 200, body: await showPolicy(deps, params) }),
    }),
  ]
}

function changeRoutes(deps: PolicyRoutesDeps): Route[] {
  const responses = { 200: shapes.PolicyChanged } as const
  return [
    route({
      ...{ ...one, responses },
      method: 'put',
      summary: 'Makes a text the next version of its id, in force on every replica within a second.',
      body: shapes.PolicyOrder,
      async handle({ principal, params, body, ids }) {
        const order = { id: params.id, text: body.text }
        return { status: 200, body: await putPolicy(deps, { principal, requestId: ids.requestId }, order) }
      },
    }),
    route({
      ...{ ...one, responses },
      method: 'delete',
      summary: 'Retires a policy; its versions stay.',
      async handle({ principal, params, ids }) {
        return { status: 200, body: await retirePolicy(deps, { principal, requestId: ids.requestId }, params.id) }
      },
    }),
    route({
      ...{ ...common, responses },
      method: 'post',
      path: '/api/v1/policies/:id/rollback',
      params: shapes.PolicyParams,
      summary: 'Makes an older version of a policy active again.',
      body: shapes.RollbackOrder,
      async handle({ principal, params, body, ids }) {
        const order = { id: params.id, version: body.version }
        return { status: 200, body: await rollBackPolicy(deps, { principal, requestId: ids.requestId }, order) }
      },
    }),
  ]
}
