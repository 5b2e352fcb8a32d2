// A loopback server that says exactly what a test tells it to, for what a client must survive: cut streams, refusals,
// servers that come back. It is no second implementation of the API; end-to-end suites use the real one.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tokenMessage } from '../../crypto/login-message.ts'

export type Asked = {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: Record<string, unknown>
}

export type Answer = (response: ServerResponse, asked: Asked) => void

export type ApiDouble = {
  readonly url: string
  readonly asked: readonly Asked[]
  /** Requests to one route, in their order. */
  readonly to: (route: string) => Asked[]
  /** Answers of a route, such as `GET /agents`, one after another; the last one stays. */
  readonly on: (route: string, ...answers: readonly Answer[]) => void
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

export const sessionRow = {
  id: 'session-1',
  agentId: 'assistant',
  model: 'scripted',
  createdAt: '2026-01-31T12:00:00.000Z',
}

/** Listens on a free port; signing in works, everything else is 404 until the test says otherwise. */
export async function startApiDouble(): Promise<ApiDouble> {
  const asked: Asked[] = []
  const routes = new Map<string, Answer[]>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://double')
      const text = Buffer.concat(chunks).toString()
      const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
      const one: Asked = {
        method: request.method ?? '',
        path: pathname,
        query: searchParams,
        headers: request.headers,
        body,
      }
      asked.push(one)
      const answers = routes.get(`${one.method} ${pathname}`) ?? []
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      if (answer) answer(response, one)
      else refuse(404, 'NOT_FOUND')(response, one)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const on: ApiDouble['on'] = (route, ...answers) => void routes.set(route, [...answers])
  signInRoutes(on, new URL(url).host)
  return {
    url,
    asked,
    to: (route) => asked.filter((one) => `${one.method} ${one.path}` === route),
    on,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function signInRoutes(on: ApiDouble['on'], host: string): void {
  on('GET /auth/challenge', json({ nonce: 'n1', message: `${host} wants you to sign in: challenge n1` }))
  on('GET /api/auth/token-message', (response, { query }) =>
    json({ message: tokenMessage(tokenFacts(host, query)) })(response, never),
  )
  on('POST /auth/verify', (response, { body }) => json(issued('session-token', body))(response, never))
  on('POST /api/auth/create-token', (response, { body }) => json(issued('mcpwt_e30', body))(response, never))
}

const tokenFacts = (domain: string, query: URLSearchParams) => ({
  domain,
  address: query.get('walletAddress') ?? '',
  expiry: Math.floor(Date.parse(query.get('expiresAt') ?? '') / 1000),
  permissions: query.get('permissions')?.split(',') ?? [],
  serverId: query.get('serverId') ?? undefined,
  epoch: 0,
})

const issued = (token: string, body: Asked['body']) => ({
  token,
  expiresAt: '2999-01-31T12:00:00.000Z',
  walletAddress: String(body['walletAddress']).toLowerCase(),
})

const never = undefined as unknown as Asked

/** Answers with JSON. */
export function json(body: unknown, status = 200): Answer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'request-1' })
    response.end(JSON.stringify(body))
  }
}

/** Refuses in the wallet family's form. */
export function refuse(
  status: number,
  code: string,
  { headers = {}, ...members }: { headers?: Record<string, string>; [name: string]: unknown } = {},
): Answer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'request-1', ...headers })
    response.end(JSON.stringify({ error: code, code, message: `Refused with ${code}.`, ...members }))
  }
}

export type EndOfStream = 'end' | 'cut' | 'silence'

/** Streams raw text as server-sent events; then ends, breaks the connection, or says nothing more. */
export function stream(text: string, end: EndOfStream = 'end', turnId = 'turn-1'): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-turn-id': turnId })
    response.write(text, () => {
      if (end === 'end') response.end()
      else if (end === 'cut') setTimeout(() => response.destroy(), 20)
    })
  }
}

/** Frames of events, numbered from `first`. */
export function frames(events: readonly (readonly [type: string, data: unknown])[], first = 1): string {
  return events
    .map(([type, data], index) => `id: ${first + index}\ndata: ${JSON.stringify({ type, data })}\n\n`)
    .join('')
}

export const done = (cost = '2800') =>
  [
    'done',
    {
      model: 'scripted',
      cost: '$0.0028',
      costRaw: cost,
      balanceRemaining: '4997200',
      usage: { inputTokens: 12, outputTokens: 7 },
      toolCallCount: 1,
      turnId: 'turn-1',
    },
  ] as const
