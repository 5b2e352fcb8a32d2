// Health, readiness, the printed OpenAPI document, problem pages, metrics, and the codec of the Temporal UI.
import type { PayloadCodec } from '@temporalio/common'
import { payloadFromJson, payloadToJson } from '../crypto/payload-codec.ts'
import { GatewayError, isErrorCode } from '../domain/errors.ts'
import { codecBodyBytesMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import type { Pipeline } from '../gateway/call.ts'
import * as shapes from '../schemas/operations.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { z } from 'zod'
import { openApiDocument } from './openapi.ts'
import { problemOf } from './problem.ts'
import { route, type Route } from './route.ts'

export type OperationDeps = {
  readonly version: string
  readonly environment: string
  readonly codec: PayloadCodec
  readonly pipeline: Pipeline
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
  return [
    healthRoute(deps),
    readyRoute(deps),
    openApiRoute(deps),
    problemRoute(),
    metricsRoute(deps),
    codecRoute(deps, 'decode'),
    codecRoute(deps, 'encode'),
  ]
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

// The UI's codec protocol. Operators only; every call is decided and recorded like any other effect.
function codecRoute({ codec, pipeline }: OperationDeps, verb: 'decode' | 'encode'): Route {
  return route({
    method: 'post',
    path: `/temporal/codec/${verb}`,
    family: 'wallet',
    summary: `Payloads to ${verb === 'decode' ? 'clear text' : 'ciphertext'}, for the Temporal UI.`,
    guard: { kind: 'operator', permission: 'admin:codec' },
    cookie: true,
    cors: 'temporal-ui',
    body: shapes.Payloads,
    bodyBytesMax: codecBodyBytesMax,
    responses: { 200: shapes.Payloads },
    async handle({ body, principal, ids }) {
      await admit(pipeline, principal, { verb, payloads: body.payloads.length, requestId: ids.requestId })
      const payloads = body.payloads.map((payload) => payloadFromJson(payload))
      const done = await (verb === 'decode' ? codec.decode(payloads) : codec.encode(payloads)).catch(
        (error: unknown) => {
          throw new GatewayError('request-invalid', 'A payload cannot be read.', { cause: error })
        },
      )
      return { status: 200, body: { payloads: done.map(payloadToJson) } }
    },
  })
}

async function admit(
  pipeline: Pipeline,
  principal: Principal,
  facts: { verb: string; payloads: number; requestId: string },
): Promise<void> {
  const answer = await pipeline.admit({
    principal,
    session: null,
    action: 'codec.decode',
    resource: { kind: 'codec', name: facts.verb, effectClass: 'read', owner: null },
    facts: { phase: 'call', arguments: facts },
    origin: 'http',
    effectKey: facts.requestId,
    attempt: 1,
  })
  if (answer.kind === 'refused') throw new GatewayError(answer.code, answer.reason)
  if (answer.kind === 'held') throw new GatewayError('approval-required', answer.decision.reason)
}
