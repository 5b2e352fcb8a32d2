// Ids of spans go with the work, whether or not anybody receives the spans.
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
