// All routes of the API, in one list: what is mounted, documented and walked over by the tests.
import { createAgentRoutes, type AgentDeps } from './agents.ts'
import { createAuthRoutes, type AuthDeps } from './auth.ts'
import { createChatRoutes, type ChatDeps } from './chat.ts'
import { createOperationRoutes, type OperationDeps } from './operations.ts'
import type { Route } from './route.ts'
import { createSessionRoutes, type SessionDeps } from './sessions.ts'
import { createWalletRoutes, type WalletDeps } from './wallet.ts'

export type RouteDeps = AuthDeps & AgentDeps & SessionDeps & ChatDeps & WalletDeps & Omit<OperationDeps, 'routes'>

/** Builds the list once; the document route reads it when asked. */
export function allRoutes(deps: RouteDeps): readonly Route[] {
  const routes: Route[] = [
    ...createAuthRoutes(deps),
    ...createAgentRoutes(deps),
    ...createSessionRoutes(deps),
    ...createChatRoutes(deps),
    ...createWalletRoutes(deps),
    ...createOperationRoutes({ ...deps, routes: () => routes }),
  ]
  return routes
}
