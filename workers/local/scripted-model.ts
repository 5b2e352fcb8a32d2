// The scripted model: a process of its own that speaks the Anthropic Messages wire format over HTTP on loopback. With no
// provider key configured it stands in for the vendor; suites steer it over /control and count by its /journal.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { aborted, runProcess } from '../process.ts'
import { scriptedAnswer, type WireRequest } from './scripted-answer.ts'

const bodyBytesMax = 20_000_000
const journalMax = 50_000
const chunkChars = 12

/** The vendor's own usage object, as a suite wants it told. */
type Usage = Readonly<Record<string, unknown>> & { readonly output_tokens?: number }

/** How the next answers behave; everything off by default. */
type Control = {
  fail: { times: number; status: number; retryAfterSeconds?: number } | null
  hold: boolean
  chunkMs: number
  cutAfterChunks: number | null
  malformed: boolean
  endless: boolean
  usage: Usage | null
}

export type ModelJournalLine = {
  readonly id: number
  readonly at: string
  readonly model: string
  readonly attemptId: string | null
  readonly asked: string
  chunks: number
  status: number
  outcome: 'open' | 'answered' | 'aborted' | 'failed' | 'cut'
}

type State = { control: Control; readonly journal: ModelJournalLine[]; release: (() => void)[] }

const calm = (): Control => ({
  fail: null,
  hold: false,
  chunkMs: 2,
  cutAfterChunks: null,
  malformed: false,
  endless: false,
  usage: null,
})

/** Starts the model; it ends with the signal. */
export async function startScriptedModel(options: { port: number; signal: AbortSignal }): Promise<{ url: string }> {
  const state: State = { control: calm(), journal: [], release: [] }
  const server = createServer((request, response) => {
    void serve(state, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(options.port, '127.0.0.1', resolve))
  options.signal.addEventListener('abort', () => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function serve(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').split('?')[0]
  if (request.method === 'GET' && path === '/journal') return json(response, 200, { requests: state.journal })
  if (request.method === 'GET' && path === '/v1/models')
    return json(response, 200, { data: [{ type: 'model', id: 'scripted-1' }], has_more: false })
  if (request.method !== 'POST') return vendorError(response, 404, 'not_found_error')
  const body = JSON.parse((await readAll(request)) || '{}') as unknown
  if (path === '/control') return steer(state, response, body as Partial<Control>)
  if (request.headers['x-api-key'] === undefined && request.headers.authorization === undefined) {
    return vendorError(response, 401, 'authentication_error')
  }
  if (path === '/v1/messages/count_tokens') return json(response, 200, { input_tokens: tokensOf(body) })
  if (path === '/v1/messages') return answer(state, { request, response, body: body as WireRequest })
  return vendorError(response, 404, 'not_found_error')
}

function steer(state: State, response: ServerResponse, control: Partial<Control>): void {
  state.control = { ...calm(), ...control }
  if (!state.control.hold) for (const release of state.release.splice(0)) release()
  json(response, 200, state.control)
}

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly body: WireRequest }

async function answer(state: State, { request, response, body }: Exchange): Promise<void> {
  const line = enter(state, request, body)
  response.on('close', () => {
    if (line.outcome === 'open') line.outcome = 'aborted'
  })
  const { fail } = state.control
  if (fail && fail.times > 0) {
    fail.times -= 1
    line.outcome = 'failed'
    line.status = fail.status
    if (fail.retryAfterSeconds !== undefined) response.setHeader('retry-after', String(fail.retryAfterSeconds))
    return vendorError(
      response,
      fail.status,
      fail.status === 429 ? 'rate_limit_error' : fail.status === 529 ? 'overloaded_error' : 'api_error',
    )
  }
  if (state.control.hold) await new Promise<void>((resolve) => state.release.push(resolve))
  const events = eventsOf(body, line.id, state.control)
  if (body.stream !== true) {
    line.outcome = 'answered'
    return json(response, 200, wholeMessage(body, line.id, state.control))
  }
  await streamEvents(state.control, { response, line, events })
}

function enter(state: State, request: IncomingMessage, body: WireRequest): ModelJournalLine {
  const attempt = request.headers['x-gatehouse-attempt']
  const last = body.messages.at(-1)?.content
  const line: ModelJournalLine = {
    id: state.journal.length + 1,
    at: new Date().toISOString(),
    model: body.model,
    attemptId: typeof attempt === 'string' ? attempt : null,
    asked: (typeof last === 'string' ? last : JSON.stringify(last)).slice(0, 200),
    chunks: 0,
    status: 200,
    outcome: 'open',
  }
  if (state.journal.length < journalMax) state.journal.push(line)
  return line
}

type Event = { readonly type: string } & Readonly<Record<string, unknown>>

const tokensOf = (value: unknown) => Math.ceil(JSON.stringify(value).length / 4)

function usageOf(body: WireRequest, control: Control): { input: Usage; output: number } {
  if (control.usage) {
    const { output_tokens: output = 1, ...input } = control.usage
    return { input, output }
  }
  const said = scriptedAnswer(body)
  return {
    input: { input_tokens: tokensOf(body.messages) },
    output: tokensOf(said.kind === 'text' ? said.text : said.input),
  }
}

// The vendor's order: message_start, per block start, deltas, stop; message_delta with the final usage; message_stop.
function* eventsOf(body: WireRequest, id: number, control: Control): Generator<Event> {
  const { input, output } = usageOf(body, control)
  const said = scriptedAnswer(body)
  const message = {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model: body.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  }
  yield { type: 'message_start', message: { ...message, usage: { ...input, output_tokens: 1 } } }
  yield { type: 'ping' }
  if (said.kind === 'text') {
    yield { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }
    do {
      for (let at = 0; at < said.text.length; at += chunkChars) {
        yield {
          type: 'content_block_delta',
          index: 0,
          delta: { type: 'text_delta', text: said.text.slice(at, at + chunkChars) },
        }
      }
    } while (control.endless)
  } else {
    yield {
      type: 'content_block_start',
      index: 0,
      content_block: { type: 'tool_use', id: `toolu_${id}`, name: said.name, input: {} },
    }
    yield {
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'input_json_delta', partial_json: JSON.stringify(said.input) },
    }
  }
  yield { type: 'content_block_stop', index: 0 }
  const stop = said.kind === 'text' ? 'end_turn' : 'tool_use'
  yield { type: 'message_delta', delta: { stop_reason: stop, stop_sequence: null }, usage: { output_tokens: output } }
  yield { type: 'message_stop' }
}

type Streaming = {
  readonly response: ServerResponse
  readonly line: ModelJournalLine
  readonly events: Iterable<Event>
}

async function streamEvents(control: Control, { response, line, events }: Streaming): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': `req_${line.id}` })
  for (const event of events) {
    if (response.destroyed) return
    if (control.malformed && event.type === 'content_block_delta')
      response.write('event: content_block_delta\ndata: {not json\n\n')
    else response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    if (event.type !== 'content_block_delta') continue
    line.chunks += 1
    if (control.cutAfterChunks !== null && line.chunks >= control.cutAfterChunks) {
      line.outcome = 'cut'
      response.destroy()
      return
    }
    if (control.chunkMs > 0) await new Promise((resolve) => setTimeout(resolve, control.chunkMs))
  }
  line.outcome = 'answered'
  response.end()
}

function wholeMessage(body: WireRequest, id: number, control: Control): Record<string, unknown> {
  const said = scriptedAnswer(body)
  const { input, output } = usageOf(body, control)
  const content =
    said.kind === 'text'
      ? { type: 'text', text: said.text }
      : { type: 'tool_use', id: `toolu_${id}`, name: said.name, input: said.input }
  return {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model: body.model,
    content: [content],
    stop_reason: said.kind === 'text' ? 'end_turn' : 'tool_use',
    stop_sequence: null,
    usage: { ...input, output_tokens: output },
  }
}

function vendorError(response: ServerResponse, status: number, type: string): void {
  json(response, status, {
    type: 'error',
    error: { type, message: `The scripted model answers ${status}.` },
    request_id: null,
  })
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > bodyBytesMax) throw new Error('The request is too large.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

if (
  process.argv[1]?.endsWith('scripted-model.ts') === true ||
  process.argv[1]?.endsWith('scripted-model.js') === true
) {
  await runProcess('model', async ({ signal, ready }) => {
    const { url } = await startScriptedModel({ port: 0, signal })
    ready({ url })
    await aborted(signal)
  })
}
