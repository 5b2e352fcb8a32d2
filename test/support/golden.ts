// Golden replies: what came back over raw HTTP, with everything that changes from run to run replaced by its kind. A
// case is compared with its committed file; `GOLDEN=write` writes the files anew, for a person to read in the diff.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'

const folder = fileURLToPath(new URL('../contracts/golden/', import.meta.url))

const kept = [
  'content-type',
  'cache-control',
  'x-accel-buffering',
  'allow',
  'www-authenticate',
  'x-dedupe',
  'access-control-allow-origin',
  'location',
  'idempotent-replayed',
]
const present = [
  'x-request-id',
  'x-trace-id',
  'x-span-id',
  'x-turn-id',
  'retry-after',
  'set-cookie',
  'x-rate-remaining',
  'x-quota-remaining',
  'x-quota-reset-at',
]

const requests = new WeakMap<Response, { readonly method: string; readonly path: string }>()
const compared: { readonly method: string; readonly path: string; readonly status: number }[] = []

/** From now on remembers what each reply answers; the disposer ends it. */
export function rememberRequests(): () => void {
  const real = globalThis.fetch
  globalThis.fetch = async (...order) => {
    const reply = await real(...order)
    requests.set(reply, { method: order[1]?.method ?? 'GET', path: new URL(reply.url).pathname })
    return reply
  }
  return () => void (globalThis.fetch = real)
}

/** Those of the routes whose good reply was compared with no golden file so far. */
export function withoutGolden(routes: readonly { readonly method: string; readonly path: string }[]): string[] {
  return routes
    .filter(({ method, path }) => {
      const shape = new RegExp(`^${path.replaceAll('.', '[.]').replace(/:\w+/g, '[^/]+')}$`)
      return !compared.some(
        (each) => each.method === method.toUpperCase() && each.status < 400 && shape.test(each.path),
      )
    })
    .map(({ method, path }) => `${method.toUpperCase()} ${path}`)
}

/** Compares a raw reply with the golden file of the case. `body` stands for one that is looked at elsewhere. */
export async function expectGolden(name: string, reply: Response, body?: string): Promise<void> {
  const request = requests.get(reply)
  if (request) compared.push({ ...request, status: reply.status })
  const headers: Record<string, string> = {}
  for (const header of kept) {
    const value = reply.headers.get(header)
    if (value !== null) headers[header] = normaliseText(value)
  }
  for (const header of present) if (reply.headers.has(header)) headers[header] = '<present>'
  const text = await reply.text()
  expectSame(name, { status: reply.status, headers, body: body ?? bodyOf(reply, text) })
}

function bodyOf(reply: Response, text: string): unknown {
  const type = reply.headers.get('content-type') ?? ''
  if (type.startsWith('text/event-stream')) return normaliseEvents(text)
  return type.startsWith('application/x-ndjson') ? text.trimEnd().split('\n').map(normaliseBody) : normaliseBody(text)
}

function expectSame(name: string, actual: unknown): void {
  const file = `${folder}${name}.json`
  const text = `${JSON.stringify(actual, null, 2)}\n`
  if (process.env['GOLDEN'] === 'write') writeFileSync(file, text)
  expect(existsSync(file), `The golden file of ${name} exists.`).toBe(true)
  expect(JSON.parse(text)).toEqual(JSON.parse(readFileSync(file, 'utf8')))
}

function normaliseBody(text: string): unknown {
  if (text === '') return null
  try {
    return normalise(JSON.parse(text))
  } catch {
    return normaliseText(text)
  }
}

// Text deltas are cut by time, so neighbours are joined; ids of events are only checked for being there.
function normaliseEvents(text: string): unknown[] {
  const events: { id: boolean; type: string; data: unknown }[] = []
  for (const frame of text.split('\n\n')) {
    const data = frame.split('\n').find((line) => line.startsWith('data: '))
    if (data === undefined) continue
    const event = JSON.parse(data.slice(6)) as { type: string; data: unknown }
    const last = events.at(-1)
    if (event.type === 'text' && last?.type === 'text') continue
    const value = event.type === 'text' ? '<text>' : normalise(event.data)
    events.push({ id: /^id: \d+$/m.test(frame), type: event.type, data: value })
  }
  return events
}

// Members that are numbers or keys of an installation.
const changing: ReadonlySet<string> = new Set(['epoch', 'latency_ms', 'wallet_id', 'kid', 'x', 'span_id'])

function normalise(value: unknown): unknown {
  if (typeof value === 'string') return normaliseText(value)
  if (Array.isArray(value)) return value.map(normalise)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, changing.has(key) ? `<${key}>` : normalise(member)]),
  )
}

const kinds: readonly (readonly [RegExp, string])[] = [
  [/ed25519:[A-Za-z0-9+/]{86}==/g, '<ed25519>'],
  [/anon-[0-9a-f]{20}/g, '<pseudonym>'],
  [/\bclerk-[0-9a-f]{6}\b/g, 'clerk-<suffix>'],
  [/mcpwt_[\w-]+/g, '<wallet-token>'],
  [/ey[\w-]+\.[\w-]+\.[\w-]+/g, '<jwt>'],
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>'],
  [/0x[0-9a-fA-F]{130}/g, '<signature>'],
  [/0x[0-9a-fA-F]{40}/g, '<address>'],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>'],
  [/127\.0\.0\.1:\d+/g, '<host>'],
  [/auth\/link\/[\w-]+/g, 'auth/link/<code>'],
  [/toolu_[\w-]+/g, '<tool-call>'],
  [/\b[0-9a-f]{32,64}\b/g, '<hex>'],
  [/^[\w-]{43}$/g, '<thumbprint>'],
  [/\b[0-9a-f]{16}\b/g, '<span>'],
]

function normaliseText(text: string): string {
  let normal = text
  for (const [pattern, kind] of kinds) normal = normal.replace(pattern, kind)
  return normal.replace(/(Nonce: |^)[A-Za-z0-9]{22,}$/gm, '$1<nonce>')
}
