// The scripted model: a process of its own that speaks the Anthropic Messages wire format over HTTP on loopback. With no
// provider key configured it stands in for the vendor; suites steer it over /control and count by its /journal.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { runProcess } from '../process.ts'
import { isEntry, loopbackProcess, readBody, sendJson, serveLoopback, type LoopbackOptions } from './loopback.ts'
import { WireRequest } from './scripted-answer.ts'
import { Control, type ModelJournalLine } from './scripted-control.ts'
import { eventsOf, tokensOf, wholeMessage, type Answering } from './scripted-events.ts'

const bodyBytesMax = 20_000_000
const journalMax = 50_000

type State = { control: Control; requests: number; readonly journal: ModelJournalLine[]; release: (() => void)[] }

/** Starts the model; it ends with the signal. */
export async function startScriptedModel(options: LoopbackOptions): Promise<{ url: string }> {
  const state: State = { control: Control.parse({}), requests: 0, journal: [], release: [] }
  return { url: await serveLoopback(options, (request, response) => serve(state, request, response)) }
}

async function serve(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = `${request.method} ${(request.url ?? '').split('?')[0]}`
  if (route === 'GET /journal') return sendJson(response, 200, { total: state.requests, requests: state.journal })
  const text = await readBody(request, bodyBytesMax)
  if (text === undefined) return vendorError(response, 413, 'The request is too large.')
  if (route === 'POST /control') return steer(state, response, text)
  if (request.headers['x-api-key'] === undefined && request.headers.authorization === undefined)
    return vendorError(response, 401, 'x-api-key or Authorization is required.')
  if (route === 'GET /v1/models') return sendJson(response, 200, modelList)
  if (route === 'POST /v1/messages/count_tokens') return count(response, text)
  if (route === 'POST /v1/messages') return answer(state, { request, response, text })
  return vendorError(response, 404, 'There is no such route.')
}

const modelList = {
  data: [{ type: 'model', id: 'scripted-1', display_name: 'Scripted model', created_at: '2026-11-01T00:00:00Z' }],
  has_more: false,
  first_id: 'scripted-1',
  last_id: 'scripted-1',
}

// A strict door: a directive that does not exist would make a test pass for the wrong reason.
function steer(state: State, response: ServerResponse, text: string): void {
  const asked = Control.safeParse(parseJson(text))
  if (!asked.success) return sendJson(response, 400, { faults: asked.error.issues.map((issue) => issue.message) })
  state.control = asked.data
  if (!state.control.hold) for (const release of state.release.splice(0)) release()
  return sendJson(response, 200, state.control)
}

function count(response: ServerResponse, text: string): void {
  const body = WireRequest.omit({ max_tokens: true }).safeParse(parseJson(text))
  if (!body.success) return vendorError(response, 400, 'The request is not a Messages request.')
  const { system, messages, tools } = body.data
  return sendJson(response, 200, { input_tokens: tokensOf({ system, messages, tools }) })
}

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly text: string }

async function answer(state: State, { request, response, text }: Exchange): Promise<void> {
  const parsed = WireRequest.safeParse(parseJson(text))
  if (!parsed.success) return vendorError(response, 400, 'The request is not a Messages request.')
  const body = parsed.data
  const line = enter(state, request, { body, bytes: Buffer.byteLength(text) })
  response.on('close', () => {
    if (line.outcome === 'open' || line.outcome === 'held') line.outcome = 'aborted'
  })
  if (failed(state, response, line)) return
  if (state.control.hold) await held(state, response, line)
  if (response.destroyed) return
  const answering = { body, id: line.id, control: state.control }
  if (body.stream === true) return streamEvents(answering, response, line)
  line.outcome = 'answered'
  sendJson(response, 200, wholeMessage(answering))
}

const headerOf = (request: IncomingMessage, name: string): string | null => {
  const value = request.headers[name]
  return typeof value === 'string' ? value : null
}

function enter(
  state: State,
  request: IncomingMessage,
  { body, bytes }: { body: WireRequest; bytes: number },
): ModelJournalLine {
  const last = body.messages.at(-1)?.content ?? ''
  state.requests += 1
  const line: ModelJournalLine = {
    id: state.requests,
    at: new Date().toISOString(),
    model: body.model,
    attemptId: headerOf(request, 'x-gatehouse-attempt'),
    idempotencyKey: headerOf(request, 'idempotency-key'),
    bytes,
    asked: (typeof last === 'string' ? last : JSON.stringify(last)).slice(0, 200),
    chunks: 0,
    status: 200,
    outcome: 'open',
  }
  if (state.journal.length < journalMax) state.journal.push(line)
  return line
}

function failed({ control }: State, response: ServerResponse, line: ModelJournalLine): boolean {
  const { fail } = control
  if (!fail || fail.times === 0) return false
  fail.times -= 1
  line.outcome = 'failed'
  line.status = fail.status
  if (fail.retryAfterSeconds !== undefined) response.setHeader('retry-after', String(fail.retryAfterSeconds))
  vendorError(response, fail.status, fail.message ?? `The scripted model answers ${fail.status}.`)
  return true
}

// Until the release, or until the client gives up.
async function held(state: State, response: ServerResponse, line: ModelJournalLine): Promise<void> {
  line.outcome = 'held'
  await new Promise<void>((resolve) => {
    state.release.push(resolve)
    response.once('close', resolve)
  })
  if (!response.destroyed) line.outcome = 'open'
}

async function streamEvents(answering: Answering, response: ServerResponse, line: ModelJournalLine): Promise<void> {
  const { control } = answering
  const requestId = `req_${line.id}`
  response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': requestId })
  for (const event of eventsOf(answering)) {
    if (response.destroyed) return
    const isChunk = event.type === 'content_block_delta'
    const data = isChunk && control.malformed ? '{not json' : JSON.stringify(event)
    if (!response.write(`event: ${event.type}\ndata: ${data}\n\n`)) await drained(response)
    if (!isChunk) continue
    line.chunks += 1
    if (line.chunks === control.cutAfterChunks) {
      line.outcome = 'cut'
      response.destroy()
      return
    }
    if (line.chunks === control.errorAfterChunks) {
      line.outcome = 'failed'
      response.end(`event: error\ndata: ${JSON.stringify(errorOf(529, 'Overloaded', requestId))}\n\n`)
      return
    }
    if (control.chunkMs > 0) await new Promise((resolve) => setTimeout(resolve, control.chunkMs))
  }
  line.outcome = 'answered'
  response.end()
}

const drained = (response: ServerResponse) =>
  new Promise<void>((resolve) => {
    const go = () => {
      response.off('drain', go)
      response.off('close', go)
      resolve()
    }
    response.on('drain', go)
    response.on('close', go)
  })

const errorTypes: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}

const errorOf = (status: number, message: string, requestId: string) => ({
  type: 'error',
  error: { type: errorTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error'), message },
  request_id: requestId,
})

function vendorError(response: ServerResponse, status: number, message: string): void {
  const requestId = 'req_refused'
  response.setHeader('request-id', requestId)
  sendJson(response, status, errorOf(status, message, requestId))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

if (isEntry('scripted-model')) await runProcess('model', loopbackProcess(startScriptedModel))
