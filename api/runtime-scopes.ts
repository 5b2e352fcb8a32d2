// Runtime scopes of the caller's wallet: named parts of its spending with a budget and tool servers of their own
// (contracts 6). A chat turn names its scope with `X-Runtime-Scope-Id`.
import {
  archiveScope,
  changeScope,
  createScope,
  scopesOf,
  showScope,
  switchServer,
  type RuntimeScopeDeps,
} from '../gateway/runtime-scopes.ts'
import { Page } from '../schemas/common.ts'
import * as shapes from '../schemas/runtime-scope.ts'
import { route, type Route } from './route.ts'

const reads = { kind: 'wallet', permission: 'wallet:read' } as const
const writes = { kind: 'wallet', permission: 'wallet:budget' } as const
const one = {
  path: '/wallet/runtime-scopes/:id',
  family: 'wallet',
  params: shapes.ScopeParams,
  owns: ['id'],
  responses: { 200: shapes.RuntimeScope },
} as const

export function createRuntimeScopeRoutes(deps: RuntimeScopeDeps): Route[] {
  return [...collectionRoutes(deps), ...scopeRoutes(deps), serverRoute(deps, 'enable'), serverRoute(deps, 'disable')]
}

function collectionRoutes(deps: RuntimeScopeDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/wallet/runtime-scopes',
      family: 'wallet',
      summary: 'Runtime scopes with what was spent under them, oldest first.',
      guard: reads,
      query: Page,
      responses: { 200: shapes.RuntimeScopePage },
      handle: async ({ principal, query }) => ({ status: 200, body: await scopesOf(deps, principal, query) }),
    }),
    route({
      method: 'post',
      path: '/wallet/runtime-scopes',
      family: 'wallet',
      summary: 'Makes a runtime scope.',
      guard: writes,
      body: shapes.NewRuntimeScope,
      responses: { 200: shapes.RuntimeScope },
      handle: async ({ principal, body }) => ({ status: 200, body: await createScope(deps, principal, body) }),
    }),
  ]
}

function scopeRoutes(deps: RuntimeScopeDeps): Route[] {
  return [
    route({
      ...one,
      method: 'get',
      summary: 'A runtime scope.',
      guard: reads,
      handle: async ({ principal, params }) => ({ status: 200, body: await showScope(deps, principal, params.id) }),
    }),
    route({
      ...one,
      method: 'put',
      summary: 'Changes what is given of a runtime scope; null takes its budget away.',
      guard: writes,
      body: shapes.RuntimeScopeChange,
      handle: async ({ principal, params, body }) => ({
        status: 200,
        body: await changeScope(deps, principal, { id: params.id, change: body }),
      }),
    }),
    route({
      ...one,
      method: 'delete',
      summary: 'Archives a runtime scope for good; its history stays.',
      guard: writes,
      handle: async ({ principal, params }) => ({ status: 200, body: await archiveScope(deps, principal, params.id) }),
    }),
  ]
}

function serverRoute(deps: RuntimeScopeDeps, verb: 'enable' | 'disable'): Route {
  return route({
    method: 'post',
    path: `/wallet/runtime-scopes/:id/servers/:server/${verb}`,
    family: 'wallet',
    summary: `Lets turns of the scope ${verb === 'enable' ? 'use' : 'no longer use'} the tools of a server.`,
    guard: writes,
    params: shapes.ScopeServerParams,
    owns: ['id'],
    responses: { 200: shapes.RuntimeScope },
    async handle({ principal, params }) {
      const order = { id: params.id, serverId: params.server, enabled: verb === 'enable' }
      return { status: 200, body: await switchServer(deps, principal, order) }
    },
  })
}
