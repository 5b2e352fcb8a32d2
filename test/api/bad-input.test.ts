// What no honest client sends, to every route: one stable code each, never a fault of ours, and nothing is written. Bad
// credentials, Hosts, Origins and methods are walked over in `route-table.test.ts`, other people's objects in
// `routes.test.ts`.
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Route } from '../../api/route.ts'
import { bodyBytesMax } from '../../domain/limits.ts'
import { startTestApi, type TestApi } from '../support/api.ts'
import { everyRoute } from '../support/every-route.ts'

const routes = everyRoute()
const nameOf = ({ method, path }: Route) => `${method.toUpperCase()} ${path}`
const named = (list: readonly Route[]) => list.map((route) => [nameOf(route), route] as const)
const mutating = routes.filter(({ method }) => method !== 'get')

let api: TestApi
let token: string

beforeAll(async () => {
  api = await startTestApi()
  const account = api.newWallet()
  api.roles.set(account.address.toLowerCase(), { tenant: 'demo', roles: ['owner', 'operator'] })
  token = await api.tokenOf(account)
  await fetch(`${api.url}/wallet/balance`, { headers: { authorization: `Bearer ${token}` } })
})
beforeEach(() => api.database.pool.query('DELETE FROM rate_bucket'))
afterAll(() => api[Symbol.asyncDispose]())

const someId = '11111111-1111-4111-8111-111111111111'
const fitting: Readonly<Record<string, string>> = { kind: 'agent', period: 'daily', server: 'everything' }
const addressOf = ({ path }: Route, change: (name: string, value: string) => string = (_name, value) => value) =>
  path.replace(/:(\w+)/g, (_all, name: string) =>
    change(name, fitting[name] ?? (path.startsWith('/agents/:id') && name === 'id' ? 'assistant' : someId)),
  )

/** Every row of every table, as digests by table. Asking for a challenge is no bad input, and writes one. */
async function everything(): Promise<Record<string, string | null>> {
  const { rows: tables } = await api.database.pool.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
       AND relname NOT IN ('rate_bucket', 'challenge') AND has_table_privilege(oid, 'SELECT')`,
  )
  const digests = tables.map(async ({ name }) => {
    const sql = `SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) AS digest FROM ${name} t`
    return [name, (await api.database.pool.query<{ digest: string | null }>(sql)).rows[0]?.digest ?? null] as const
  })
  return Object.fromEntries(await Promise.all(digests))
}

async function expectNothingWritten(work: () => Promise<void>): Promise<void> {
  const before = await everything()
  await work()
  expect(await everything()).toEqual(before)
}

type Bad = {
  readonly body: string | Buffer | URLSearchParams
  readonly headers?: Record<string, string>
  readonly is: [number, string]
}

const json = { 'content-type': 'application/json' }
const unreadable: Readonly<Record<string, (route: Route) => Bad>> = {
  'another content type': () => ({
    body: '{}',
    headers: { 'content-type': 'text/plain' },
    is: [415, 'content-type-unsupported'],
  }),
  'a form': () => ({ body: new URLSearchParams({ a: '1' }), headers: {}, is: [415, 'content-type-unsupported'] }),
  'a compressed body': () => ({
    body: '{}',
    headers: { ...json, 'content-encoding': 'gzip' },
    is: [415, 'content-type-unsupported'],
  }),
  'half a value': () => ({ body: '{"a":', is: [400, 'request-malformed'] }),
  'no JSON': () => ({ body: 'hello', is: [400, 'request-malformed'] }),
  'bytes that are no text': () => ({ body: Buffer.from([0x22, 0xff, 0xfe, 0x22]), is: [400, 'request-malformed'] }),
  'a hundred levels': () => ({ body: '['.repeat(100) + ']'.repeat(100), is: [400, 'request-malformed'] }),
  'one byte too many': (route) => ({
    body: ' '.repeat((route.bodyBytesMax ?? bodyBytesMax) + 1),
    is: [413, 'request-too-large'],
  }),
}

const shapeless = ['null', '[]', '"text"', '5', 'true']

async function send(route: Route, { body, headers = json }: Pick<Bad, 'body' | 'headers'>): Promise<[number, string]> {
  const reply = await fetch(api.url + addressOf(route), {
    method: route.method.toUpperCase(),
    headers: { authorization: `Bearer ${token}`, ...headers },
    body,
  })
  return [reply.status, codeOf(await reply.text())]
}

const codeOf = (text: string) => (JSON.parse(text) as { code: string }).code
const wire: Readonly<Record<string, string>> = {
  'content-type-unsupported': 'UNSUPPORTED_MEDIA_TYPE',
  'request-malformed': 'MALFORMED_REQUEST',
  'request-too-large': 'PAYLOAD_TOO_LARGE',
  'request-invalid': 'VALIDATION_ERROR',
}
const inFamily = ({ family }: Route, code: string) => (family === 'control' ? code : wire[code])

test.each(named(mutating))('%s reads no body but JSON within its bounds', async (_name, route) => {
  await expectNothingWritten(async () => {
    for (const [name, bad] of Object.entries(unreadable)) {
      const { is, ...order } = bad(route)
      expect([name, ...(await send(route, order))]).toEqual([name, is[0], inFamily(route, is[1])])
    }
  })
})

test.each(named(mutating.filter(({ body }) => body)))(
  '%s takes no other value than an object',
  async (_name, route) => {
    await expectNothingWritten(async () => {
      for (const body of shapeless)
        expect([body, ...(await send(route, { body }))]).toEqual([body, 400, inFamily(route, 'request-invalid')])
    })
  },
)

test.each(named(mutating))('%s stops reading a body of unknown length at its bound', async (_name, route) => {
  const bytesMax = route.bodyBytesMax ?? bodyBytesMax
  const { hostname, port } = new URL(api.url)
  const head = [
    `${route.method.toUpperCase()} ${addressOf(route)} HTTP/1.1`,
    `Host: ${hostname}:${port}`,
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    'Transfer-Encoding: chunked',
  ]
  const reply = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    let text = ''
    socket.setEncoding('utf8').on('data', (part: string) => (text += part))
    socket.on('error', () => resolve(text)).on('close', () => resolve(text))
    socket.setTimeout(10_000, () => reject(new Error('Nobody answered.')))
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    const chunk = `10000\r\n${' '.repeat(0x1_00_00)}\r\n`
    for (let sent = 0; sent <= bytesMax; sent += 0x1_00_00) socket.write(chunk)
  })
  expect(reply).toMatch(/^HTTP\/1\.1 413 /)
})

const badNames = [
  '%00',
  '%27%3B--',
  '..%2F..%2Fetc',
  'x'.repeat(4_000),
  '%F0%9F%98%80',
  someId.replace('1', 'G'),
  '%20',
]

test.each(named(routes.filter(({ path }) => path.includes(':'))))(
  '%s knows nothing by a bad name',
  async (_name, route) => {
    const places = [...route.path.matchAll(/:(\w+)/g)].map(([, name = '']) => name)
    const body = route.body ? { body: '{}' } : {}
    await expectNothingWritten(async () => {
      for (const place of places) {
        for (const bad of [...badNames, '%FF', '%E0%A4%A']) {
          const path = addressOf(route, (name, value) => (name === place ? bad : value))
          const reply = await fetch(api.url + path, {
            method: route.method.toUpperCase(),
            headers: { authorization: `Bearer ${token}`, ...(route.body ? json : {}) },
            ...body,
          })
          expect([place, bad, [400, 404].includes(reply.status)]).toEqual([place, bad, true])
          expect(codeOf(await reply.text())).toMatch(
            /^(MALFORMED_REQUEST|VALIDATION_ERROR|NOT_FOUND|request-malformed|request-invalid|not-found)$/,
          )
        }
      }
    })
  },
)

test.each(named(routes.filter(({ method, query }) => method === 'get' && query)))(
  '%s refuses or ignores a query that makes no sense',
  async (_name, route) => {
    const names = Object.keys((route.query as unknown as { shape?: object }).shape ?? {})
    const values = ['%00', '-1', '1e9', '99999999999999999999', 'NaN', '%F0%9F%98%80', 'x'.repeat(4_000), '%FF', '[]']
    await expectNothingWritten(async () => {
      for (const name of [...names, 'unknown', '__proto__', 'constructor']) {
        for (const query of [
          ...values.map((value) => `${name}=${value}`),
          `${name}=1&${name}=2`,
          `${name}[a]=1`,
          name,
        ]) {
          const reply = await fetch(`${api.url}${addressOf(route)}?${query}`, {
            headers: { authorization: `Bearer ${token}` },
            signal: AbortSignal.timeout(5_000),
          })
          await reply.body?.cancel()
          expect([query, reply.status < 500]).toEqual([query, true])
        }
        await api.database.pool.query('DELETE FROM rate_bucket')
      }
    })
  },
)
