// OpenTelemetry of one process. Spans go to each endpoint over OTLP; without one nothing is recorded, and the ids
// still go with the work into the audit records. Spans name ids and kinds, never content.
import {
  context,
  propagation,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Span,
  type Tracer,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes, type Resource } from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  NoopSpanProcessor,
  SimpleSpanProcessor,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base'

import { spanExportMs, spanLastFlushMs, spanQueueMax } from '../domain/limits.ts'

export type Tracing = AsyncDisposable & {
  /** For the Temporal plugin: spans of workflows are exported outside the sandbox. */
  readonly resource: Resource
  readonly spanProcessor: SpanProcessor
  /** Runs `work` in a span of its own; what it throws marks the span and goes on. */
  readonly span: <T>(name: string, attributes: Attributes, work: (about: About) => Promise<T>) => Promise<T>
  /** The same for a request that came in: the span belongs to the trace that the request was told. */
  readonly request: <T>(name: string, ids: RequestSpan, work: (about: About) => Promise<T>) => Promise<T>
  /** Ids of the active span, if any; there are some also where nothing is sent. */
  readonly spanIds: () => SpanIds | null
  /** `traceparent` for a request that leaves, or nothing. */
  readonly headers: () => Record<string, string>
}

/** Says more of the span that runs: ids, never content. */
export type About = (attributes: Attributes) => void

export type SpanIds = { readonly traceId: string; readonly spanId: string }

/** Ids as W3C `traceparent` has them: the trace, and the span that asked. */
export type RequestSpan = SpanIds & { readonly requestId: string }

export type TracingOptions = {
  readonly name: string
  /** Bases of OTLP/HTTP receivers; `/v1/traces` is added. Each has a queue of its own: none waits for another. */
  readonly otlpEndpoints?: readonly string[]
  /** Takes finished spans at once, for suites. */
  readonly exporter?: SpanExporter | undefined
}

/** Installs the tracer of the process; dispose of it to send what is left. */
export function createTracing(options: TracingOptions): Tracing {
  const resource = resourceFromAttributes({ 'service.name': `gatehouse-${options.name}` })
  const spanProcessor = processorOf(options)
  const provider = new BasicTracerProvider(
    spanProcessor ? { resource, spanProcessors: [spanProcessor] } : { resource, sampler: new AlwaysOffSampler() },
  )
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  const tracer = provider.getTracer('gatehouse') // its own, also where another was installed first
  return {
    resource,
    spanProcessor: spanProcessor ?? new NoopSpanProcessor(),
    span: (name, attributes, work) =>
      inSpan(tracer, { name, attributes }, (span) => work((more) => void span.setAttributes(more))),
    request(name, { traceId, spanId, requestId }, work) {
      const asker = { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true }
      const attributes = { 'gatehouse.request': requestId }
      return context.with(trace.setSpanContext(context.active(), asker), () =>
        inSpan(tracer, { name, attributes }, (span) => work((more) => void span.setAttributes(more))),
      )
    },
    spanIds() {
      const ids = trace.getActiveSpan()?.spanContext()
      return ids === undefined ? null : { traceId: ids.traceId, spanId: ids.spanId }
    },
    headers() {
      const carrier: Record<string, string> = {}
      propagation.inject(context.active(), carrier)
      return carrier
    },
    async [Symbol.asyncDispose]() {
      // A receiver that is gone or silent must not keep the process.
      await within(
        spanLastFlushMs,
        provider.shutdown().catch(() => undefined),
      )
      trace.disable()
      context.disable()
      propagation.disable()
    },
  }
}

type Named = { readonly name: string; readonly attributes: Attributes }

function inSpan<T>(tracer: Tracer, { name, attributes }: Named, work: (span: Span) => Promise<T>): Promise<T> {
  return tracer.startActiveSpan(name, { attributes }, async (span) => {
    try {
      return await work(span)
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: codeOf(error) })
      throw error
    } finally {
      span.end()
    }
  })
}

function processorOf({ exporter, otlpEndpoints = [] }: TracingOptions): SpanProcessor | undefined {
  if (exporter) return new SimpleSpanProcessor(exporter)
  return otlpEndpoints.length === 0 ? undefined : together(otlpEndpoints.map(queueOf))
}

function queueOf(endpoint: string): SpanProcessor {
  const url = `${endpoint.replace(/\/$/, '')}/v1/traces`
  const receiver = new OTLPTraceExporter({ url, timeoutMillis: spanExportMs })
  return new BatchSpanProcessor(receiver, { maxQueueSize: spanQueueMax, exportTimeoutMillis: spanExportMs })
}

function together(queues: readonly SpanProcessor[]): SpanProcessor {
  const all = async (work: (queue: SpanProcessor) => Promise<void>) => void (await Promise.allSettled(queues.map(work)))
  return {
    onStart: (span, parent) => queues.forEach((queue) => queue.onStart(span, parent)),
    onEnd: (span) => queues.forEach((queue) => queue.onEnd(span)),
    forceFlush: () => all((queue) => queue.forceFlush()),
    shutdown: () => all((queue) => queue.shutdown()),
  }
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}

// The message may quote content; the code or the class may not.
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
