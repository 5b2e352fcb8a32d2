// Reads a JSON body within its bound, refusing what is not JSON by type, too large, malformed or too deep, before any
// other work.
import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../domain/errors.ts'
import { jsonDepthMax } from '../domain/limits.ts'

/** The parsed body, or undefined when the request has none. */
export async function readJsonBody(request: IncomingMessage, bytesMax: number): Promise<unknown> {
  const declared = request.headers['content-length']
  if (!hasBody(request)) return undefined
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    throw new GatewayError('content-type-unsupported', 'The body must be application/json.')
  if (request.headers['content-encoding'] !== undefined) {
    throw new GatewayError('content-type-unsupported', 'The body must not be compressed.')
  }
  if (declared !== undefined && Number(declared) > bytesMax) throw tooLarge(bytesMax)
  const bytes = await readBytes(request, bytesMax)
  return parseJson(bytes)
}

/** Whether the request says that it has a body (RFC 9112 §6.3). */
export function hasBody({ headers }: IncomingMessage): boolean {
  const declared = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (declared !== undefined && declared !== '0')
}

async function readBytes(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of received(request)) {
    size += chunk.length
    if (size > bytesMax) throw tooLarge(bytesMax)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

// The one fault of a request's stream is a client that left or was too slow.
async function* received(request: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    yield* request as AsyncIterable<Buffer>
  } catch (cause) {
    throw new GatewayError('request-malformed', 'The body ended before its end.', { cause })
  }
}

function parseJson(bytes: Buffer): unknown {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new GatewayError('request-malformed', 'The body is not valid JSON.')
  }
  if (depthOf(value, jsonDepthMax) > jsonDepthMax) {
    throw new GatewayError('request-malformed', `The body is nested deeper than ${jsonDepthMax} levels.`)
  }
  return value
}

// Stops one level beyond the bound, so that depth costs nothing.
function depthOf(value: unknown, bound: number): number {
  if (typeof value !== 'object' || value === null) return 0
  if (bound < 0) return 1
  let deepest = 0
  for (const member of Object.values(value)) deepest = Math.max(deepest, depthOf(member, bound - 1))
  return 1 + deepest
}

const tooLarge = (bytesMax: number) =>
  new GatewayError('request-too-large', `The body exceeds ${bytesMax} bytes.`, { details: { bytesMax } })
