// The OpenAPI 3.1 document, printed from the route objects: what is not declared there is not documented, and nothing
// is documented that is not served.
import { z } from 'zod'
import { errorCodes } from '../domain/errors.ts'
import type { Route } from './route.ts'

type Json = Readonly<Record<string, unknown>>

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
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: { ErrorCode: { type: 'string', enum: [...errorCodes] } },
    },
  }
}

function operationOf(route: Route): Json {
  const security = route.guard.kind === 'public' ? {} : { security: [{ bearer: [route.guard.permission] }] }
  const body = route.body
    ? { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(route.body, 'input') } } } }
    : {}
  return {
    summary: route.summary,
    parameters: [...parametersOf(route, 'path'), ...parametersOf(route, 'query')],
    ...security,
    ...body,
    responses: Object.fromEntries(
      Object.entries(route.responses).map(([status, schema]) => [status, responseOf(schema)]),
    ),
  }
}

function responseOf(schema: z.ZodType | null | 'events'): Json {
  if (schema === null) return { description: 'No body.' }
  if (schema === 'events')
    return { description: 'Server-sent events.', content: { 'text/event-stream': { schema: { type: 'string' } } } }
  return { description: 'Success.', content: { 'application/json': { schema: schemaOf(schema, 'output') } } }
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

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Record<
    string,
    unknown
  >
  return json
}
