// What the document says of a request is what the door takes.
import { expect, test } from 'vitest'
import { keyHeaders } from '../../api/idempotency.ts'
import { openApiDocument } from '../../api/openapi.ts'
import { everyRoute } from '../support/every-route.ts'

type Operation = {
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean }[]
  readonly requestBody?: { readonly required: boolean }
}

const routes = everyRoute()
const { paths } = openApiDocument(routes, '0.0.0') as { paths: Record<string, Record<string, Operation>> }
const operation = (method: string, path: string) => paths[path]?.[method]

test('a body is required where the route refuses to go without', () => {
  expect(operation('post', '/agents/{id}/sessions')?.requestBody?.required).toBe(false)
  expect(operation('post', '/auth/verify')?.requestBody?.required).toBe(true)
  for (const { method, path, body } of routes) {
    const documented = operation(method, path.replaceAll(/:(\w+)/g, '{$1}'))?.requestBody?.required
    expect([path, documented]).toEqual([path, body === undefined ? undefined : !body.safeParse({}).success])
  }
})

test.each([
  ['post', '/agents/{id}/sessions/{sid}/chat', ['Idempotency-Key', 'X-Idempotency-Key']],
  ['get', '/agents/{id}/sessions/{sid}/turns/{turnId}/stream', ['Last-Event-ID']],
])('%s %s names the headers that it reads', (method, path, names) => {
  const headers = operation(method, path)?.parameters.filter((each) => each.in === 'header')
  expect(headers?.map(({ name, required }) => [name, required])).toEqual(names.map((name) => [name, false]))
})

test('the headers of a request key are documented on every route that obeys them', () => {
  for (const route of routes.filter((each) => each.method !== 'get' && each.idempotency !== 'none')) {
    const said = operation(route.method, route.path.replace(/:([A-Za-z]+)/g, '{$1}'))?.parameters ?? []
    for (const name of Object.keys(keyHeaders))
      expect(said).toContainEqual(expect.objectContaining({ name, in: 'header' }))
  }
})
