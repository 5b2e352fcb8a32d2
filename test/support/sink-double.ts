// A store and a collector on loopback that keep what they are given, and misbehave as a test tells them to.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** `…-after`: the body is kept, and the connection breaks or falls silent before the answer. */
export type Misbehaviour = 'cut-before' | 'cut-after' | 'hang-after' | 'hang-up' | 'redirect' | 'garbage' | number

export type SinkDouble = AsyncDisposable & {
  readonly url: string
  /** Files by their names. */
  readonly files: Map<string, string>
  /** Events, each key once. */
  readonly events: Map<string, unknown[]>
  readonly requests: { readonly method: string; readonly path: string; readonly authorization: string | undefined }[]
  /** What the next requests of a kind do; then they are served. */
  readonly next: (kind: 'ask' | 'put' | 'events', ...ways: readonly Misbehaviour[]) => void
  /** What the store names as the place, instead of its own. */
  place: ((name: string) => unknown) | undefined
}

export async function startSinkDouble(): Promise<SinkDouble> {
  const ways: Record<string, Misbehaviour[]> = { ask: [], put: [], events: [] }
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const double: SinkDouble = {
    ...{ url, files: new Map(), events: new Map(), requests: [], place: undefined },
    next: (kind, ...more) => void ways[kind]?.push(...more),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', url).pathname
    const { authorization } = request.headers
    double.requests.push({ method: request.method ?? '', path, authorization })
    const kind = path === '/upload-url' ? 'ask' : path === '/events' ? 'events' : 'put'
    const way = ways[kind]?.shift()
    if (way === 'hang-up') return void request.socket.destroy()
    const body = await text(request)
    if (way === 'cut-before') return void request.socket.destroy()
    if (way === 'redirect') return void response.writeHead(307, { location: `${url}/elsewhere` }).end()
    if (way === 'garbage') return void response.end('<html>')
    if (typeof way === 'number') return void response.writeHead(way).end('no')
    const status = keep(kind, { path, body, headers: request.headers })
    if (way === 'hang-after') return
    if (way === 'cut-after') return void request.socket.destroy()
    const { name = '' } = kind === 'ask' ? (JSON.parse(body) as { name?: string }) : {}
    const place = double.place?.(name) ?? { url: `${url}/files/${encodeURIComponent(name)}?signature=secret` }
    response.writeHead(status, { 'content-type': 'application/json' }).end(kind === 'ask' ? JSON.stringify(place) : '')
  }
  function keep(
    kind: string,
    { path, body, headers }: Pick<IncomingMessage, 'headers'> & { path: string; body: string },
  ) {
    if (kind === 'ask') return 200
    if (kind === 'events') {
      const key = String(headers['idempotency-key'])
      if (!double.events.has(key)) double.events.set(key, JSON.parse(body) as unknown[])
      return 202
    }
    const name = decodeURIComponent(path.slice('/files/'.length))
    if (double.files.has(name) && headers['if-none-match'] === '*') return 412
    double.files.set(name, body)
    return 200
  }
  return double
}
