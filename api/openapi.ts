// The OpenAPI 3.1 document, printed from the route objects: what is not declared there is not documented, and nothing
// is documented that is not served.
import { z } from 'zod'
import { errorCodes } from '../domain/errors.ts'
import { EdgeError, Problem, WalletError } from '../schemas/problem.ts'
import { sessionCookie } from './cookies.ts'
import { keepsReplies, keyHeaders } from './idempotency.ts'
import type { Family, Route } from './route.ts'

type Json = Readonly<Record<string, unknown>>

export const OpenApiDocument = z.looseObject({ openapi: z.string(), paths: z.record(z.string(), z.unknown()) })

const refusals: Record<Family, { readonly name: string; readonly type: string }> = {
  wallet: { name: 'WalletError', type: 'application/json' },
  plain: { name: 'WalletError', type: 'application/json' },
  edge: { name: 'EdgeError', type: 'application/json' },
  control: { name: 'Problem', type: 'application/problem+json' },
}

/** Prints the document. Deterministic: same routes, same bytes. */
export function openApiDocument(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    const path = route.path.replace(/:([A-Za-z]+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method]: operationOf(route) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Gatehouse', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        cookie: { type: 'apiKey', in: 'cookie', name: sessionCookie },
      },
      schemas: {
        ErrorCode: { type: 'string', enum: [...errorCodes] },
        WalletError: schemaOf(WalletError, 'output'),
        Problem: schemaOf(Problem, 'output'),
        EdgeError: schemaOf(EdgeError, 'output'),
      },
    },
  }
}

function operationOf(route: Route): Json {
  const { name, type } = refusals[route.family]
  const refused = { description: 'Refused.', content: { [type]: { schema: { $ref: `#/components/schemas/${name}` } } } }
  const body = route.body
    ? { requestBody: { required: !takesNothing(route.body), content: jsonOf(schemaOf(route.body, 'input')) } }
    : {}
  const replies = Object.entries(route.responses).map(([status, schema]) => [status, responseOf(schema)])
  return {
    summary: route.summary,
    parameters: [...parametersOf(route, 'path'), ...parametersOf(route, 'query'), ...headersOf(route)],
    ...securityOf(route),
    ...body,
    responses: { ...Object.fromEntries(replies), default: refused },
  }
}

// No body is read as an empty object.
const takesNothing = (body: z.ZodType) => body.safeParse({}).success
const jsonOf = (schema: Json) => ({ 'application/json': { schema } })

// Scopes are allowed for every scheme since OpenAPI 3.1; they name the permission.
function securityOf({ guard, cookie }: Route): Json {
  if (guard.kind === 'public') return { security: [] }
  const { permission } = guard
  const extra = guard.kind === 'operator' ? { 'x-role': 'operator' } : {}
  return { security: [{ bearer: [permission] }, ...(cookie ? [{ cookie: [permission] }] : [])], ...extra }
}

function responseOf(schema: Route['responses'][number]): Json {
  if (schema === null || schema === undefined) return { description: 'No body.' }
  const text = { schema: { type: 'string' } }
  if (schema === 'events') return { description: 'Server-sent events.', content: { 'text/event-stream': text } }
  if (schema === 'ndjson') return { description: 'Lines of JSON.', content: { 'application/x-ndjson': text } }
  if (schema === 'text') return { description: 'Text.', content: { 'text/plain': text } }
  return { description: 'Success.', content: jsonOf(schemaOf(schema, 'output')) }
}

function parametersOf(route: Route, where: 'path' | 'query'): Json[] {
  const schema = where === 'path' ? route.params : route.query
  if (!schema) return []
  const json = schemaOf(schema, 'input') as { properties?: Record<string, unknown>; required?: string[] }
  return Object.entries(json.properties ?? {}).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || (json.required ?? []).includes(name),
    schema: property,
  }))
}

function headersOf(route: Route): Json[] {
  const headers = { ...(keepsReplies(route) ? keyHeaders : {}), ...route.headers }
  return Object.entries(headers).map(([name, schema]) => ({
    name,
    in: 'header',
    required: false,
    schema: schemaOf(schema, 'input'),
  }))
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Record<
    string,
    unknown
  >
  return json
}
