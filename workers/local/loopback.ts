// The door of the small servers of this machine: loopback only, no browser, ended by a signal.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { hostHeaderValidation, originValidation } from '@modelcontextprotocol/node'
import type { ProcessContext } from '../process.ts'
import { aborted } from '../process.ts'

export type LoopbackOptions = { readonly port: number; readonly signal: AbortSignal }

const local = ['127.0.0.1', 'localhost']
const guards = [hostHeaderValidation(local), originValidation(local)]

/** Serves on 127.0.0.1 until the signal; `port` 0 takes a free one. Resolves to the origin. */
export async function serveLoopback(
  { port, signal }: LoopbackOptions,
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<string> {
  const server = createServer((request, response) => {
    if (!guards.every((guard) => guard(request, response))) return
    handle(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const end = () => {
    server.close()
    server.closeAllConnections()
  }
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What a process of such a server does: `--port N` or a free port, told to the parent. */
export function loopbackProcess(start: (options: LoopbackOptions) => Promise<{ url: string }>) {
  return async ({ signal, ready }: ProcessContext): Promise<void> => {
    const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } })
    const { url } = await start({ port: Number(values.port), signal })
    ready({ url })
    await aborted(signal)
  }
}

/** Whether this module is what the process was started with, as source or as built. */
export function isEntry(name: string): boolean {
  return new RegExp(`[/\\\\]${name}\\.(?:ts|js)$`).test(process.argv[1] ?? '')
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

/** The body as text; undefined when it is longer than allowed. */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bytesMax) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
