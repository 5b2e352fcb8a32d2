// What Gatehouse says about itself in machine-readable form: its routes, its problems, its counters.
import { GatewayError, isErrorCode } from '../domain/errors.ts'
import { ProblemPage, ProblemParams } from '../schemas/problem.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { OpenApiDocument, openApiDocument } from './openapi.ts'
import { problemOf } from './problem.ts'
import { route, type Route } from './route.ts'

export type DocumentDeps = {
  readonly version: string
  readonly metrics: Pick<Metrics, 'text'>
}

/** `routes`: everything that is served, these included. */
export function createDocumentRoutes(deps: DocumentDeps, routes: () => readonly Route[]): Route[] {
  return [openApiRoute(deps, routes), problemRoute(), metricsRoute(deps)]
}

function openApiRoute({ version }: DocumentDeps, routes: () => readonly Route[]): Route {
  return route({
    method: 'get',
    path: '/openapi.json',
    family: 'plain',
    summary: 'This document.',
    guard: { kind: 'public', because: 'Clients are built from it; it holds nothing of an installation.' },
    responses: { 200: OpenApiDocument },
    handle: async () => ({ status: 200, body: openApiDocument(routes(), version) }),
  })
}

function problemRoute(): Route {
  return route({
    method: 'get',
    path: '/problems/:code',
    family: 'control',
    summary: 'What an error code means.',
    guard: { kind: 'public', because: 'It explains a refusal to whoever was refused.' },
    params: ProblemParams,
    responses: { 200: ProblemPage },
    async handle({ params: { code } }) {
      if (!isErrorCode(code)) throw new GatewayError('not-found', 'There is no such problem.')
      const { title, status, wire } = problemOf(code)
      return { status: 200, body: { type: `/problems/${code}`, title, status, code, wire } }
    },
  })
}

function metricsRoute({ metrics }: DocumentDeps): Route {
  return route({
    method: 'get',
    path: '/metrics',
    family: 'plain',
    summary: 'Counters of this process in the text form of Prometheus (operators).',
    guard: { kind: 'operator', permission: 'admin:read' },
    cookie: true,
    responses: { 200: 'text' },
    handle: async () => ({
      status: 200,
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      body: metrics.text(),
    }),
  })
}
