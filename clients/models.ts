// A model upstream that speaks the Anthropic Messages dialect, at any base URL. Temporal owns retries, so the vendor's
// client makes none. The platform's key is attached inside this file and leaves it only as a header.
import Anthropic from '@anthropic-ai/sdk'
import { GatewayError } from '../domain/errors.ts'
import {
  modelCallMs,
  modelConnectionsMax,
  modelFirstByteMs,
  modelIdleMs,
  modelStreamBytesMax,
} from '../domain/limits.ts'
import type { ModelEvent, ModelRequest } from '../schemas/model.ts'
import { createReader } from './models/reader.ts'
import { modelFault, wireRequest } from './models/wire.ts'
import { createUpstreamFetch, type UpstreamFetch } from './upstream.ts'

/** Attaches the credential of an upstream to a request. The broker process will hold the other end. */
export type CredentialSource = { readonly attach: (headers: Headers) => Promise<void> }

export type ModelCallOptions = {
  readonly signal: AbortSignal
  /** The same for every attempt of one logical call, for upstreams that know such a key. */
  readonly idempotencyKey?: string
  readonly headers?: Readonly<Record<string, string>>
}

export type ModelUpstream = {
  /** Streams one answer. Throws `upstream-…` GatewayErrors; an abort by the signal throws its reason. */
  readonly stream: (request: ModelRequest, options: ModelCallOptions) => AsyncIterable<ModelEvent>
}

/** Bounds of one call; an installation may lower them. */
export type ModelLimits = {
  readonly firstByteMs: number
  readonly idleMs: number
  readonly callMs: number
  readonly streamBytesMax: number
}

export type ModelUpstreamDeps = {
  /** The vendor's own when absent. */
  readonly baseUrl: string | undefined
  readonly credential: CredentialSource
  readonly limits?: Partial<ModelLimits>
}

const vendorUrl = 'https://api.anthropic.com'

/** The installation's own provider key, kept in this closure. */
export function platformCredential(key: string): CredentialSource {
  return {
    attach: async (headers) => {
      headers.delete('authorization')
      headers.set('x-api-key', key)
    },
  }
}

export function createModelUpstream(deps: ModelUpstreamDeps): ModelUpstream {
  const limits: ModelLimits = {
    firstByteMs: modelFirstByteMs,
    idleMs: modelIdleMs,
    callMs: modelCallMs,
    streamBytesMax: modelStreamBytesMax,
    ...deps.limits,
  }
  const upstreamFetch = createUpstreamFetch({
    allowLoopback: deps.baseUrl !== undefined,
    connectionsMax: modelConnectionsMax,
    responseBytesMax: limits.streamBytesMax,
    silenceMs: Math.max(limits.firstByteMs, limits.idleMs),
  })
  const stream = (request: ModelRequest, options: ModelCallOptions) =>
    streamAnswer({ ...deps, limits, upstreamFetch, request, options })
  return { stream }
}

type Order = ModelUpstreamDeps & {
  readonly limits: ModelLimits
  readonly upstreamFetch: UpstreamFetch
  readonly request: ModelRequest
  readonly options: ModelCallOptions
}

async function* streamAnswer(order: Order): AsyncGenerator<ModelEvent> {
  const { request, options } = order
  options.signal.throwIfAborted()
  const watch = createWatch(order.limits)
  const signal = AbortSignal.any([options.signal, watch.signal])
  try {
    const stream = await vendorClient(order, watch).messages.create(
      { ...wireRequest(request), stream: true },
      { signal, headers: headersOf(options) },
    )
    const reader = createReader()
    for await (const event of stream) yield* reader.read(event)
    signal.throwIfAborted() // the vendor's client ends an aborted stream without a word
    if (!reader.isComplete()) throw new GatewayError('upstream-unavailable', 'The model was cut off.')
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason
    if (watch.signal.aborted) throw watch.signal.reason
    throw modelFault(error)
  } finally {
    watch.end()
  }
}

const headersOf = ({ idempotencyKey, headers }: ModelCallOptions): Record<string, string> => ({
  ...headers,
  ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
})

// Address and keys are all given, so that the vendor's client takes none from the environment.
function vendorClient({ baseUrl, credential, limits, upstreamFetch }: Order, watch: Watch): Anthropic {
  return new Anthropic({
    baseURL: baseUrl ?? vendorUrl,
    apiKey: 'attached-per-request', // the vendor's client insists on one; `attach` replaces it
    authToken: null,
    webhookKey: null,
    maxRetries: 0,
    timeout: limits.callMs,
    logLevel: 'off',
    fetch: async (input, init) => {
      const headers = new Headers(init?.headers)
      await attach(credential, headers)
      const response = await upstreamFetch(input as string, { ...init, headers })
      return watch.over(response)
    },
  })
}

// A header value that cannot be sent is quoted by the runtime's error: it stops here.
async function attach(credential: CredentialSource, headers: Headers): Promise<void> {
  try {
    await credential.attach(headers)
  } catch {
    throw new GatewayError('upstream-refused', 'The credential of the model cannot be attached.')
  }
}

type Watch = {
  readonly signal: AbortSignal
  /** Every piece of the body, a ping too, is a sign of life. */
  readonly over: (response: Response) => Response
  readonly end: () => void
}

function createWatch(limits: ModelLimits): Watch {
  const stop = new AbortController()
  const give = (said: string) => () => stop.abort(new GatewayError('upstream-timeout', said))
  const whole = setTimeout(give('The model did not finish in time.'), limits.callMs)
  let silence = setTimeout(give('The model did not begin in time.'), limits.firstByteMs)
  let ended = false
  const alive = () => {
    clearTimeout(silence)
    if (ended) return
    silence = setTimeout(give('The model fell silent.'), limits.idleMs)
  }
  return {
    signal: stop.signal,
    over(response) {
      if (response.body === null) return response
      const watched = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          alive()
          controller.enqueue(chunk)
        },
      })
      const { status, statusText, headers } = response
      return new Response(response.body.pipeThrough(watched), { status, statusText, headers })
    },
    end() {
      ended = true
      clearTimeout(whole)
      clearTimeout(silence)
    },
  }
}
