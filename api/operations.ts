// Health, readiness, the printed OpenAPI document, problem pages and metrics.
import { GatewayError, isErrorCode } from '../domain/errors.ts'
import * as shapes from '../schemas/operations.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { z } from 'zod'
import { openApiDocument } from './openapi.ts'
import { problemOf } from './problem.ts'
import { route, type Route } from './route.ts'

export type OperationDeps = {
  readonly version: string
  readonly environment: string
  readonly metrics: Metrics
  readonly checks: {
    readonly database: () => Promise<boolean>
    readonly temporal: () => Promise<boolean>
    readonly revocationFeed: () => boolean
  }
  /** All routes, for the document; read when it is asked for. */
  readonly routes: () => readonly Route[]
}

export function createOperationRoutes(deps: OperationDeps): Route[] {
  return [healthRoute(deps), readyRoute(deps), openApiRoute(deps), problemRoute(), metricsRoute(deps)]
}

const because = 'Says nothing about anybody.'

function healthRoute({ version, environment }: OperationDeps): Route {
  // Honest by construction: nothing is attested on this host, and every key came from the environment or a file.
  const degradedReasons = ['no_attestation', 'keys_from_environment']
  return route({
    method: 'get',
    path: '/health',
    family: 'plain',
    summary: 'Alive, and the security posture as it is.',
    guard: { kind: 'public', because },
    responses: { 200: shapes.Health },
    handle: async () => ({
      status: 200,
      body: {
        status: 'degraded',
        version,
        securityPosture: {
          mode: environment,
          attestationAvailability: { teeEnabled: false },
          keySources: {
            jwtSecret: 'env_fallback',
            signingKeyMaterial: 'env_fallback',
            ledgerEncryptionKey: 'env_fallback',
            byokVaultEncryptionKey: 'env_fallback',
          },
          crossGatewayTrust: { state: 'degraded_no_attestation', attestationUrl: null, attestedJwksHashTrunc16: null },
          degraded: true,
          degradedReasons,
        },
      },
    }),
  })
}

function readyRoute({ checks }: OperationDeps): Route {
  return route({
    method: 'get',
    path: '/ready',
    family: 'plain',
    summary: 'Whether a turn could be served now.',
    guard: { kind: 'public', because },
    responses: { 200: shapes.Ready, 503: shapes.Ready },
    async handle() {
      const [database, temporal] = await Promise.all([checks.database(), checks.temporal()])
      const revocationFeed = checks.revocationFeed()
      const ready = database && temporal && revocationFeed
      return {
        status: ready ? 200 : 503,
        ...(ready ? {} : { headers: { 'retry-after': '2' } }),
        body: { ready, database, temporal, revocationFeed },
      }
    },
  })
}

function openApiRoute({ routes, version }: OperationDeps): Route {
  return route({
    method: 'get',
    path: '/openapi.json',
    family: 'wallet',
    summary: 'This document.',
    guard: { kind: 'operator', permission: 'admin:read' },
    cookie: true,
    responses: { 200: z.looseObject({ openapi: z.string() }) },
    handle: async () => ({ status: 200, body: openApiDocument(routes(), version) }),
  })
}

function problemRoute(): Route {
  return route({
    method: 'get',
    path: '/problems/:code',
    family: 'plain',
    summary: 'What an error code means.',
    guard: { kind: 'public', because },
    params: z.object({ code: z.string() }),
    responses: { 200: shapes.ProblemPage },
    async handle({ params }) {
      if (!isErrorCode(params.code)) throw new GatewayError('not-found', 'There is no such problem.')
      const { status, title } = problemOf(params.code)
      return { status: 200, body: { code: params.code, status, title } }
    },
  })
}

function metricsRoute({ metrics }: OperationDeps): Route {
  return route({
    method: 'get',
    path: '/metrics',
    family: 'wallet',
    summary: 'Counters and histograms of this process, for Prometheus.',
    guard: { kind: 'operator', permission: 'admin:read' },
    responses: { 200: z.string() },
    handle: async () => ({
      status: 200,
      headers: { 'content-type': 'text/plain; version=0.0.4' },
      body: metrics.text(),
    }),
  })
}
