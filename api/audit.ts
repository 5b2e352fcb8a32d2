// Evidence over HTTP (contracts 15): records by filters, checkpoints, verification, and the public keys of all of it.
import { GatewayError } from '../domain/errors.ts'
import { auditExportsAtOnce } from '../domain/limits.ts'
import { auditPermission } from '../gateway/audit-access.ts'
import { openExport, type AuditExportDeps } from '../gateway/audit-export.ts'
import { payloadFor, type PayloadDeps } from '../gateway/audit-payload.ts'
import { checkpointsFor, recordsFor, verifyFor, type AuditViewDeps } from '../gateway/audit-view.ts'
import { KeySet } from '../schemas/auth.ts'
import { PayloadAnswer, PayloadQuery } from '../schemas/audit-payload.ts'
import * as shapes from '../schemas/audit-view.ts'
import { sendLines } from './ndjson.ts'
import { route, type Route } from './route.ts'

export type AuditRoutesDeps = AuditViewDeps & AuditExportDeps & Pick<PayloadDeps, 'seal'>

const guard = { kind: 'wallet', permission: auditPermission } as const

export function createAuditRoutes(deps: AuditRoutesDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/v1/audit',
      family: 'control',
      summary: 'Records of the chain, newest first: the own ones, the tenant’s for its admins, all for operators.',
      guard,
      query: shapes.AuditQuery,
      responses: { 200: shapes.AuditPage },
      handle: async ({ principal, query }) => ({ status: 200, body: await recordsFor(deps, principal, query) }),
    }),
    route({
      method: 'get',
      path: '/api/v1/audit/checkpoints',
      family: 'control',
      summary: 'Signed checkpoints of the chain, oldest first.',
      guard,
      query: shapes.CheckpointQuery,
      responses: { 200: shapes.CheckpointPage },
      handle: async ({ principal, query }) => ({ status: 200, body: await checkpointsFor(deps, principal, query) }),
    }),
    route({
      method: 'post',
      path: '/api/v1/audit/verify',
      family: 'control',
      summary: 'Verifies the chain, a bounded part of it at a time; names the first broken record.',
      guard,
      idempotency: 'none',
      body: shapes.VerifyOrder,
      responses: { 200: shapes.VerifyAnswer },
      handle: async ({ principal, body }) => ({ status: 200, body: await verifyFor(deps, principal, body) }),
    }),
    exportRoute(deps),
    route({
      method: 'get',
      path: '/api/v1/audit/payload',
      family: 'control',
      summary:
        'What went in and out of a recorded effect, where it is kept: the own ones, the tenant’s for its admins.',
      guard,
      query: PayloadQuery,
      responses: { 200: PayloadAnswer },
      handle: async ({ principal, query }) => ({ status: 200, body: await payloadFor(deps, principal, query.record) }),
    }),
    keySetRoute(deps),
  ]
}

function exportRoute(deps: AuditRoutesDeps): Route {
  let running = 0
  return route({
    method: 'get',
    path: '/api/v1/audit/export',
    family: 'control',
    summary: 'A day, or what follows a record, as lines of JSON that end with a fresh signed checkpoint.',
    guard,
    query: shapes.ExportQuery,
    responses: { 200: 'ndjson' },
    async handle({ principal, query }) {
      if (running >= auditExportsAtOnce)
        throw new GatewayError('rate-limited', 'Other exports are running.', { retryAfterMs: 5_000 })
      running += 1
      const ended = () => void (running -= 1)
      const file = await openExport(deps, principal, query).catch((error: unknown) => {
        ended()
        throw error
      })
      return { stream: (response) => sendLines(response, file).finally(ended) }
    },
  })
}

function keySetRoute({ keys }: AuditRoutesDeps): Route {
  return route({
    method: 'get',
    path: '/.well-known/audit-jwks.json',
    family: 'plain',
    summary: 'Public keys of the audit chain, retired ones too (RFC 7517).',
    guard: { kind: 'public', because: 'Whoever holds a record may verify it.' },
    responses: { 200: KeySet },
    handle: async () => ({ status: 200, body: { keys: (await keys.latest('audit')).map((key) => key.jwk) } }),
  })
}
