// Reads the events of a Messages stream into ours: message_start, blocks, message_delta, message_stop. Usage is
// cumulative and told early, so that an answer that is cut can be billed.
import type Anthropic from '@anthropic-ai/sdk'
import { GatewayError } from '../../domain/errors.ts'
import type { ModelEvent, ModelUsage } from '../../schemas/model.ts'

type WireEvent = Anthropic.RawMessageStreamEvent

export type StreamReader = {
  readonly read: (event: WireEvent) => readonly ModelEvent[]
  /** Whether the answer came to its end. */
  readonly isComplete: () => boolean
}

type OpenTool = { readonly id: string; readonly name: string; json: string }

type State = {
  usage: ModelUsage
  model: string
  open: OpenTool | undefined
  /** A tool call whose arguments were cut; fine only when the answer hit its token limit. */
  torn: boolean
  complete: boolean
}

export function createReader(): StreamReader {
  const usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWrite5mTokens: 0, cacheWrite1hTokens: 0 }
  const state: State = { usage, model: '', open: undefined, torn: false, complete: false }
  return { read: (event) => readEvent(state, event), isComplete: () => state.complete }
}

function readEvent(state: State, event: WireEvent): readonly ModelEvent[] {
  switch (event.type) {
    case 'message_start':
      state.model = event.message.model
      state.usage = mergeUsage(state.usage, event.message.usage)
      return [{ type: 'usage', usage: state.usage }]
    case 'content_block_start':
      if (event.content_block.type === 'tool_use')
        state.open = { id: event.content_block.id, name: event.content_block.name, json: '' }
      return []
    case 'content_block_delta':
      return readDelta(state, event.delta)
    case 'content_block_stop':
      return closeTool(state)
    case 'message_delta':
      return readEnd(state, event)
    case 'message_stop':
      state.complete = true
      return []
  }
}

function readDelta(state: State, delta: Anthropic.RawContentBlockDelta): readonly ModelEvent[] {
  if (delta.type === 'text_delta') return [{ type: 'text', text: delta.text }]
  if (delta.type === 'thinking_delta') return [{ type: 'thinking', text: delta.thinking }]
  if (delta.type === 'input_json_delta' && state.open) state.open.json += delta.partial_json
  return []
}

function closeTool(state: State): readonly ModelEvent[] {
  const tool = state.open
  state.open = undefined
  if (!tool) return []
  const input = parseInput(tool.json)
  state.torn ||= input === undefined
  return input === undefined ? [] : [{ type: 'tool_use', id: tool.id, name: tool.name, input }]
}

// A tool without arguments sends none.
function parseInput(json: string): Record<string, unknown> | undefined {
  try {
    const input: unknown = json === '' ? {} : JSON.parse(json)
    return typeof input === 'object' && input !== null && !Array.isArray(input) ? { ...input } : undefined
  } catch {
    return undefined
  }
}

function readEnd(state: State, event: Anthropic.RawMessageDeltaEvent): readonly ModelEvent[] {
  state.usage = mergeUsage(state.usage, event.usage)
  const reason = event.delta.stop_reason ?? 'unknown'
  if (state.torn && reason !== 'max_tokens')
    throw new GatewayError('upstream-invalid', 'The model sent tool arguments that are not an object.')
  return [
    { type: 'usage', usage: state.usage },
    { type: 'stop', reason, model: state.model },
  ]
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

// Counts only grow; `input_tokens` leaves the cache out. Cache writes come as a sum, and split by life in the first event
// only: what the split does not call an hour is five minutes.
function mergeUsage(before: ModelUsage, wire: WireUsage): ModelUsage {
  const grow = (old: number, now: number | null | undefined) =>
    Math.max(old, Number.isSafeInteger(now) ? (now ?? 0) : 0)
  const hour = grow(before.cacheWrite1hTokens, wire.cache_creation?.ephemeral_1h_input_tokens)
  const short = wire.cache_creation?.ephemeral_5m_input_tokens ?? (wire.cache_creation_input_tokens ?? 0) - hour
  return {
    inputTokens: grow(before.inputTokens, wire.input_tokens),
    outputTokens: grow(before.outputTokens, wire.output_tokens),
    cacheReadTokens: grow(before.cacheReadTokens, wire.cache_read_input_tokens),
    cacheWrite5mTokens: grow(before.cacheWrite5mTokens, short),
    cacheWrite1hTokens: hour,
  }
}
