// OpenTelemetry of one process. With an endpoint spans go there over OTLP; without one nothing is recorded, and the ids
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

export type Tracing = AsyncDisposable & {
  /** For the Temporal plugin: spans of workflows are exported outside the sandbox. */
  readonly resource: Resource
  readonly spanProcessor: SpanProcessor
  /** Runs `work` in a span of its own; what it throws marks the span and goes on. */
  readonly span: <T>(name: string, attributes: Attributes, work: () => Promise<T>) => Promise<T>
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
  /** Base of an OTLP/HTTP receiver; `/v1/traces` is added. */
  readonly otlpEndpoint?: string | undefined
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
    span: (name, attributes, work) => inSpan(tracer, { name, attributes }, work),
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
      await provider.shutdown().catch(() => undefined) // a receiver that is gone must not keep the process
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

function processorOf({ exporter, otlpEndpoint }: TracingOptions): SpanProcessor | undefined {
  if (exporter) return new SimpleSpanProcessor(exporter)
  if (otlpEndpoint === undefined) return undefined
  const url = `${otlpEndpoint.replace(/\/$/, '')}/v1/traces`
  return new BatchSpanProcessor(new OTLPTraceExporter({ url }))
}

// The message may quote content; the code or the class may not.
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
