// The route table without anything behind it: shapes and guards can be read, handlers must not be called.
import { allRoutes, type RoutesDeps } from '../../api/routes.ts'
import type { Route } from '../../api/route.ts'

/** Every route that development serves. */
export function documentedRoutes(): readonly Route[] {
  return allRoutes({ links: true, faucet: true, door: {} } as unknown as RoutesDeps)
}
