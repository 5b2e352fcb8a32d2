// A model upstream that speaks the Anthropic Messages dialect, at any base URL. Temporal owns retries, so the vendor's
// client makes none. The platform's key is attached inside this file and leaves it only as a header.
import Anthropic, {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
  APIUserAbortError,
} from '@anthropic-ai/sdk'
import { GatewayError } from '../domain/errors.ts'
import { modelCallMs, modelFirstByteMs, modelIdleMs, modelStreamBytesMax } from '../domain/limits.ts'
import type { Block, ModelEvent, ModelMessage, ModelRequest, ModelUsage } from '../schemas/model.ts'

/** Attaches the credential of an upstream to a request. The broker process will hold the other end. */
export type CredentialSource = { readonly attach: (headers: Headers) => Promise<void> }

export type ModelCallOptions = { readonly signal: AbortSignal; readonly headers?: Readonly<Record<string, string>> }

export type ModelUpstream = {
  /** Streams one answer. Throws `upstream-…` GatewayErrors; an abort by the signal throws its reason. */
  readonly stream: (request: ModelRequest, options: ModelCallOptions) => AsyncIterable<ModelEvent>
}

/** The installation's own provider key, kept in this closure. */
export function platformCredential(key: string): CredentialSource {
  return {
    attach: async (headers) => {
      headers.delete('authorization')
      headers.set('x-api-key', key)
    },
  }
}

/** An upstream at `baseUrl` (the vendor's own when absent). */
export function createModelUpstream(deps: {
  baseUrl: string | undefined
  credential: CredentialSource
}): ModelUpstream {
  const client = new Anthropic({
    ...(deps.baseUrl === undefined ? {} : { baseURL: deps.baseUrl }),
    apiKey: 'attached-per-request', // the vendor's client insists on one; `attach` replaces it
    authToken: null,
    maxRetries: 0,
    timeout: modelCallMs,
    logLevel: 'off',
    fetch: async (input, init) => {
      const headers = new Headers(init?.headers)
      await deps.credential.attach(headers)
      return fetch(input, { ...init, headers, redirect: 'error' })
    },
  })
  return { stream: (request, options) => streamAnswer(client, request, options) }
}

async function* streamAnswer(
  client: Anthropic,
  request: ModelRequest,
  options: ModelCallOptions,
): AsyncGenerator<ModelEvent> {
  const stall = new AbortController()
  let timer = setTimeout(() => stall.abort(), modelFirstByteMs)
  const signal = AbortSignal.any([options.signal, stall.signal])
  try {
    const stream = await client.messages.create(
      { ...wireRequest(request), stream: true },
      { signal, headers: { ...options.headers } },
    )
    const reader = createReader()
    let bytes = 0
    for await (const event of stream) {
      clearTimeout(timer)
      timer = setTimeout(() => stall.abort(), modelIdleMs)
      bytes += sizeOf(event)
      if (bytes > modelStreamBytesMax) throw new GatewayError('upstream-invalid', 'The model answers without end.')
      yield* reader.read(event)
    }
    signal.throwIfAborted()
    if (!reader.isComplete()) throw new GatewayError('upstream-unavailable', 'The model was cut off.')
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason
    if (stall.signal.aborted) throw new GatewayError('upstream-timeout', 'The model fell silent.')
    throw toFault(error)
  } finally {
    clearTimeout(timer)
  }
}

type WireEvent = Anthropic.RawMessageStreamEvent

const sizeOf = (event: WireEvent) => (event.type === 'content_block_delta' ? JSON.stringify(event.delta).length : 64)

// Reads the vendor's events (protocol order: message_start, blocks, message_delta, message_stop) into ours.
function createReader() {
  let usage: ModelUsage = {
    inputTokens: 0,
    outputTokens: 0,
    cacheReadTokens: 0,
    cacheWrite5mTokens: 0,
    cacheWrite1hTokens: 0,
  }
  let tool: { id: string; name: string; json: string } | undefined
  let complete = false
  function* read(event: WireEvent): Generator<ModelEvent> {
    if (event.type === 'message_start') {
      usage = merge(usage, event.message.usage)
      yield { type: 'usage', usage }
    } else if (event.type === 'content_block_start' && event.content_block.type === 'tool_use') {
      tool = { id: event.content_block.id, name: event.content_block.name, json: '' }
    } else if (event.type === 'content_block_delta') {
      if (event.delta.type === 'text_delta') yield { type: 'text', text: event.delta.text }
      if (event.delta.type === 'thinking_delta') yield { type: 'thinking', text: event.delta.thinking }
      if (event.delta.type === 'input_json_delta' && tool) tool.json += event.delta.partial_json
    } else if (event.type === 'content_block_stop' && tool) {
      yield { type: 'tool_use', id: tool.id, name: tool.name, input: parseInput(tool.json) }
      tool = undefined
    } else if (event.type === 'message_delta') {
      usage = merge(usage, event.usage)
      yield { type: 'usage', usage }
      yield { type: 'stop', reason: event.delta.stop_reason ?? 'unknown' }
    } else if (event.type === 'message_stop') {
      complete = true
    }
  }
  return { read, isComplete: () => complete }
}

type WireUsage = {
  readonly input_tokens?: number | null
  readonly output_tokens?: number | null
  readonly cache_read_input_tokens?: number | null
  readonly cache_creation_input_tokens?: number | null
  readonly cache_creation?: {
    readonly ephemeral_5m_input_tokens?: number
    readonly ephemeral_1h_input_tokens?: number
  } | null
}

// Counts only grow; `input_tokens` leaves the cache out; writes are split by life where the vendor says so.
function merge(before: ModelUsage, wire: WireUsage): ModelUsage {
  const grow = (old: number, now: number | null | undefined) =>
    Math.max(old, Number.isSafeInteger(now) ? (now ?? 0) : 0)
  const hour = wire.cache_creation?.ephemeral_1h_input_tokens
  const short =
    wire.cache_creation?.ephemeral_5m_input_tokens ?? (hour === undefined ? wire.cache_creation_input_tokens : 0)
  return {
    inputTokens: grow(before.inputTokens, wire.input_tokens),
    outputTokens: grow(before.outputTokens, wire.output_tokens),
    cacheReadTokens: grow(before.cacheReadTokens, wire.cache_read_input_tokens),
    cacheWrite5mTokens: grow(before.cacheWrite5mTokens, short),
    cacheWrite1hTokens: grow(before.cacheWrite1hTokens, hour),
  }
}

function parseInput(json: string): unknown {
  try {
    return json === '' ? {} : JSON.parse(json)
  } catch {
    throw new GatewayError('upstream-invalid', 'The model sent tool arguments that are not JSON.')
  }
}

function wireRequest(request: ModelRequest): Omit<Anthropic.MessageCreateParamsStreaming, 'stream'> {
  return {
    model: request.model,
    max_tokens: request.maxTokens,
    ...(request.system === '' ? {} : { system: request.system }),
    messages: request.messages.map(wireMessage),
    ...(request.tools.length === 0
      ? {}
      : {
          tools: request.tools.map((tool) => ({
            name: tool.name,
            description: tool.description,
            input_schema: tool.inputSchema as Anthropic.Tool.InputSchema,
          })),
        }),
  }
}

const wireMessage = (message: ModelMessage): Anthropic.MessageParam => ({
  role: message.role,
  content: message.content.map(wireBlock),
})

function wireBlock(block: Block): Anthropic.ContentBlockParam {
  switch (block.type) {
    case 'text':
      return { type: 'text', text: block.text }
    case 'image':
      return { type: 'image', source: { type: 'base64', media_type: block.mediaType, data: block.data } }
    case 'tool_use':
      return { type: 'tool_use', id: block.id, name: block.name, input: block.input as Record<string, unknown> }
    case 'tool_result':
      return { type: 'tool_result', tool_use_id: block.toolUseId, content: block.content, is_error: block.isError }
  }
}

// Only statuses and types leave: the vendor's messages may quote prompts, its headers our key.
function toFault(error: unknown): Error {
  if (error instanceof GatewayError) return error
  if (error instanceof APIUserAbortError) return new GatewayError('upstream-unavailable', 'The call was given up.')
  if (error instanceof APIConnectionTimeoutError)
    return new GatewayError('upstream-timeout', 'The model did not answer in time.')
  if (error instanceof APIConnectionError)
    return new GatewayError('upstream-unavailable', 'The model cannot be reached.')
  if (error instanceof APIError) return statusFault(error)
  if (error instanceof TypeError) return new GatewayError('upstream-unavailable', 'The connection to the model broke.')
  return new GatewayError('upstream-invalid', 'The model answered what cannot be read.')
}

function statusFault(error: APIError): GatewayError {
  const status = typeof error.status === 'number' ? error.status : statusOfType(error.type)
  const said = `The model answered ${status}.`
  if (status === 429) return new GatewayError('upstream-rate-limited', said, { retryAfterMs: retryAfterMs(error) })
  if (status === 401 || status === 403 || status === 402) return new GatewayError('upstream-refused', said)
  if (status === 408 || status === 504) return new GatewayError('upstream-timeout', said)
  if (status >= 500 || status === 409)
    return new GatewayError('upstream-unavailable', said, { retryAfterMs: retryAfterMs(error) })
  return new GatewayError('upstream-invalid', said)
}

// An `error` event inside a stream has a type and no status.
function statusOfType(type: unknown): number {
  const statuses: Readonly<Record<string, number>> = {
    overloaded_error: 529,
    api_error: 500,
    rate_limit_error: 429,
    timeout_error: 504,
    authentication_error: 401,
  }
  return typeof type === 'string' ? (statuses[type] ?? 400) : 500
}

function retryAfterMs(error: APIError): number | undefined {
  const headers = error.headers
  const millis = Number(headers?.get('retry-after-ms') ?? Number.NaN)
  const seconds = Number(headers?.get('retry-after') ?? Number.NaN)
  const value = Number.isFinite(millis) ? millis : seconds * 1000
  return Number.isFinite(value) && value >= 0 ? Math.min(value, 300_000) : undefined
}
