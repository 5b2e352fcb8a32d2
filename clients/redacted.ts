// Upstreams that say none of our secrets: what a model or a tool answers passes here before anybody else sees it, so it
// reaches neither people nor rows, records or the next request to a model.
import type { RedactedStream, Redactor } from '../domain/redaction.ts'
import type { ModelEvent, ModelRequest } from '../schemas/model.ts'
import type { ModelCallOptions, ModelUpstream } from './models.ts'
import type { ToolUpstreams } from './tools.ts'

/** The model with its answers redacted; a secret that arrives in pieces is held back until it is known to be none. */
export function redactedModel(model: ModelUpstream, redactor: Redactor): ModelUpstream {
  return { stream: (request, options) => redactedAnswer(model, redactor, { request, options }) }
}

type Ask = { readonly request: ModelRequest; readonly options: ModelCallOptions }
type Said = Readonly<Record<'text' | 'thinking', RedactedStream>>

async function* redactedAnswer(
  model: ModelUpstream,
  redactor: Redactor,
  { request, options }: Ask,
): AsyncGenerator<ModelEvent> {
  const said: Said = { text: redactor.stream(), thinking: redactor.stream() }
  try {
    for await (const event of model.stream(request, options)) yield* redacted(said, redactor, event)
  } catch (error) {
    yield* rest(said) // words that were said before a cut are kept
    throw error
  }
  yield* rest(said)
}

function* redacted(said: Said, redactor: Redactor, event: ModelEvent): Generator<ModelEvent> {
  if (event.type === 'usage') return yield event
  if (event.type === 'text' || event.type === 'thinking') {
    yield* restOf(said, event.type === 'text' ? 'thinking' : 'text')
    const text = said[event.type].write(event.text)
    return text === '' ? undefined : yield { type: event.type, text }
  }
  yield* rest(said)
  yield event.type === 'tool_use' ? { ...event, input: redactor.json(event.input) } : event
}

function* rest(said: Said): Generator<ModelEvent> {
  yield* restOf(said, 'thinking')
  yield* restOf(said, 'text')
}

function* restOf(said: Said, type: 'text' | 'thinking'): Generator<ModelEvent> {
  const text = said[type].end()
  if (text !== '') yield { type, text }
}

/** The tool servers with their lists and results redacted. */
export function redactedTools(tools: ToolUpstreams, redactor: Redactor): ToolUpstreams {
  return {
    ...tools,
    list: async (server, signal) =>
      (await tools.list(server, signal)).map((tool) => ({
        ...tool,
        description: redactor.text(tool.description),
        inputSchema: redactor.json(tool.inputSchema) as Record<string, unknown>,
      })),
    async call(order) {
      const { text, isError } = await tools.call(order)
      return { text: redactor.text(text), isError }
    },
  }
}
