// Every route, with the dependencies that a suite gives and none besides: for printing what is served, for walks over
// declarations, and for serving the doors of one family.
import { allRoutes, type RoutesDeps } from '../../api/routes.ts'
import type { Route } from '../../api/route.ts'

/** All routes of an installation in development, where the most are served. */
export function everyRoute(given: Partial<RoutesDeps> = {}): Route[] {
  const known: Readonly<Record<string, unknown>> = { faucet: true, links: {}, ...given }
  const deps = new Proxy(known, {
    get: (_target, name) => (name in known ? known[String(name)] : unused(String(name))),
  })
  return allRoutes(deps as unknown as RoutesDeps)
}

const unused = (name: string) =>
  new Proxy(() => undefined, {
    get: () => unused(name),
    apply() {
      throw new Error(`${name} was not given.`)
    },
  })
