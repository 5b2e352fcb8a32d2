// Every route there is. The application mounts this list, the OpenAPI document is printed from it, and the tests over
// all routes walk it.
import { createAgentRoutes, type AgentRoutesDeps } from './agents.ts'
import { createAuthRoutes, type AuthDeps } from './auth.ts'
import { createChatRoutes, type ChatRoutesDeps } from './chat.ts'
import { createCodecRoutes, type CodecRoutesDeps } from './codec.ts'
import { createOperationRoutes, type OperationDeps } from './operations.ts'
import type { Route } from './route.ts'
import { createSessionRoutes, type SessionRoutesDeps } from './sessions.ts'
import { createWalletRoutes, type WalletRoutesDeps } from './wallet.ts'

export type RoutesDeps = AuthDeps &
  AgentRoutesDeps &
  SessionRoutesDeps &
  ChatRoutesDeps &
  WalletRoutesDeps &
  CodecRoutesDeps &
  Omit<OperationDeps, 'routes'>

export function allRoutes(deps: RoutesDeps): Route[] {
  const routes: Route[] = [
    ...createAuthRoutes(deps),
    ...createAgentRoutes(deps),
    ...createSessionRoutes(deps),
    ...createChatRoutes(deps),
    ...createWalletRoutes(deps),
    ...createCodecRoutes(deps),
    ...createOperationRoutes({ ...deps, routes: () => routes }),
  ]
  return routes
}
