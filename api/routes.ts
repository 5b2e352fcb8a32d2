// Every route there is. The application mounts this list, the OpenAPI document is printed from it, and the tests over
// all routes walk it.
import { createAgentRoutes, type AgentRoutesDeps } from './agents.ts'
import { createAuditRoutes, type AuditRoutesDeps } from './audit.ts'
import { createAuthRoutes, type AuthDeps } from './auth.ts'
import { createBudgetRoutes, type BudgetRoutesDeps } from './budgets.ts'
import { createChatRoutes, type ChatRoutesDeps } from './chat.ts'
import { createCodecRoutes, type CodecRoutesDeps } from './codec.ts'
import { createDocumentRoutes, type DocumentDeps } from './documents.ts'
import { createHealthRoutes, type HealthDeps } from './health.ts'
import { createLinkRoutes, type LinkDeps } from './link.ts'
import { createPolicyRoutes, type PolicyRoutesDeps } from './policies.ts'
import type { Route } from './route.ts'
import { createRuntimeScopeRoutes } from './runtime-scopes.ts'
import { createSessionRoutes, type SessionRoutesDeps } from './sessions.ts'
import { createWalletRoutes, type WalletRoutesDeps } from './wallet.ts'

export type RoutesDeps = AuthDeps &
  LinkDeps &
  AgentRoutesDeps &
  SessionRoutesDeps &
  ChatRoutesDeps &
  WalletRoutesDeps &
  BudgetRoutesDeps &
  AuditRoutesDeps &
  PolicyRoutesDeps &
  CodecRoutesDeps &
  HealthDeps &
  DocumentDeps

export function allRoutes(deps: RoutesDeps): Route[] {
  const routes: Route[] = [
    ...createAuthRoutes(deps),
    ...createLinkRoutes(deps),
    ...createAgentRoutes(deps),
    ...createSessionRoutes(deps),
    ...createChatRoutes(deps),
    ...createWalletRoutes(deps),
    ...createBudgetRoutes(deps),
    ...createAuditRoutes(deps),
    ...createPolicyRoutes(deps),
    ...createRuntimeScopeRoutes(deps),
    ...createCodecRoutes(deps),
    ...createHealthRoutes(deps),
    ...createDocumentRoutes(deps, () => routes),
  ]
  return routes
}
