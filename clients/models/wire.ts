// Our model request in the vendor's words, and the vendor's failures in ours. Only statuses and types leave: the vendor's
// messages may quote prompts, and its headers our key.
import type Anthropic from '@anthropic-ai/sdk'
import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from '@anthropic-ai/sdk'
import { GatewayError } from '../../domain/errors.ts'
import { upstreamRetryAfterMsMax } from '../../domain/limits.ts'
import type { Block, ModelMessage, ModelRequest, ModelTool } from '../../schemas/model.ts'

export function wireRequest(request: ModelRequest): Omit<Anthropic.MessageCreateParamsStreaming, 'stream'> {
  return {
    model: request.model,
    max_tokens: request.maxTokens,
    ...(request.system === '' ? {} : { system: request.system }),
    messages: request.messages.map(wireMessage),
    ...(request.tools.length === 0 ? {} : { tools: request.tools.map(wireTool) }),
  }
}

const wireTool = (tool: ModelTool): Anthropic.Tool => ({
  name: tool.name,
  description: tool.description,
  input_schema: tool.inputSchema as Anthropic.Tool.InputSchema,
})

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

/** What went wrong, in our codes and without a cause. */
export function modelFault(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  if (error instanceof APIConnectionError && error.cause instanceof GatewayError) return error.cause
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
  const wait = { retryAfterMs: retryAfterMs(error) }
  if (status === 429) return new GatewayError('upstream-rate-limited', said, wait)
  if (status === 401 || status === 402 || status === 403) return new GatewayError('upstream-refused', said)
  if (status === 408 || status === 504) return new GatewayError('upstream-timeout', said)
  if (status >= 500 || status === 409) return new GatewayError('upstream-unavailable', said, wait)
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
    billing_error: 402,
    permission_error: 403,
  }
  return typeof type === 'string' ? (statuses[type] ?? 400) : 500
}

// Either in milliseconds, in seconds, or a date.
function retryAfterMs({ headers }: APIError): number | undefined {
  const seconds = headers?.get('retry-after') ?? null
  const asked = [
    Number(headers?.get('retry-after-ms') ?? Number.NaN),
    Number(seconds ?? Number.NaN) * 1_000,
    Date.parse(seconds ?? '') - Date.now(),
  ].find((value) => Number.isFinite(value) && value >= 0)
  return asked === undefined ? undefined : Math.min(asked, upstreamRetryAfterMsMax)
}
