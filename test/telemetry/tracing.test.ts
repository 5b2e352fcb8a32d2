// Ids of spans go with the work, whether or not anybody receives the spans; and several may.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace-base'
import { afterEach, expect, test } from 'vitest'
import { createTracing, type Tracing } from '../../telemetry/tracing.ts'

let tracing: Tracing
afterEach(() => tracing[Symbol.asyncDispose]())

const asked = { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8), requestId: 'r1' }

test('without a receiver a request has the trace it was told, and each span ids of its own', async () => {
  tracing = createTracing({ name: 'test' })
  expect(tracing.spanIds()).toBeNull()
  const [outer, inner] = await tracing.request('POST x', asked, async () => {
    const before = tracing.spanIds()
    return [before, await tracing.span('inside', {}, async () => tracing.spanIds())] as const
  })
  expect([outer?.traceId, inner?.traceId]).toEqual([asked.traceId, asked.traceId])
  expect(new Set([asked.spanId, outer?.spanId, inner?.spanId]).size).toBe(3)
  expect(tracing.spanIds()).toBeNull()
})

test('what leaves names the trace and says that nobody records it', async () => {
  tracing = createTracing({ name: 'test' })
  const headers = await tracing.request('POST x', asked, async () => tracing.headers())
  expect(headers['traceparent']).toMatch(new RegExp(`^00-${asked.traceId}-[0-9a-f]{16}-00$`))
})

test('a request says more of its span once it is known who asks', async () => {
  const exporter = new InMemorySpanExporter()
  tracing = createTracing({ name: 'test', exporter })
  await tracing.request('POST x', asked, async (about) => about({ 'gatehouse.usid': 'u1' }))
  expect(exporter.getFinishedSpans().map(({ attributes }) => attributes)).toEqual([
    { 'gatehouse.request': 'r1', 'gatehouse.usid': 'u1' },
  ])
})

type Receiver = { readonly server: Server; readonly url: string; readonly bodies: string[] }

async function receiver(answer: boolean): Promise<Receiver> {
  const bodies: string[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece))
    request.on('end', () => {
      bodies.push(`${request.url} ${text}`)
      if (answer) response.end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies }
}

test('two receivers get the same trace; one that is gone or silent takes nothing from them, and no time from the work', async () => {
  const all = await Promise.all([receiver(true), receiver(true), receiver(false), receiver(true)])
  const [first, second, silent, gone] = all
  gone?.server.close()
  try {
    tracing = createTracing({ name: 'test', otlpEndpoints: all.map(({ url }) => url) })
    const startedAt = performance.now()
    await tracing.request('POST x', asked, () =>
      tracing.span('upstream model', { 'gatehouse.model': 'm' }, async () => 1),
    )
    expect(performance.now() - startedAt).toBeLessThan(500)
    await tracing[Symbol.asyncDispose]()
    expect(performance.now() - startedAt).toBeLessThan(5_000) // the silent one holds the end of the process for 3 s
    for (const { bodies } of [first, second, silent].flatMap((each) => each ?? [])) {
      expect(bodies).toHaveLength(1)
      const [path = '', body = ''] = bodies[0]?.split(/ (.*)/s) ?? []
      expect(path).toBe('/v1/traces')
      const spans = [...body.matchAll(/"traceId":"([0-9a-f]+)"/g)].map(([, id]) => id)
      expect(spans).toEqual([asked.traceId, asked.traceId])
      expect(body).toContain('upstream model')
    }
  } finally {
    for (const { server } of all) {
      server.closeAllConnections()
      server.close()
    }
  }
})
