// A server that stops: what runs finishes, nobody new is served, and nothing holds it longer than its time.
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { drainServer } from '../../workers/drain.ts'

let server: Server
let streams: ServerResponse[]
let port: number
const agents: Agent[] = []

beforeEach(async () => {
  streams = []
  server = createServer((incoming, response) => {
    if (incoming.url !== '/stream') return void response.end('short')
    response.write('first ')
    streams.push(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ;({ port } = server.address() as AddressInfo)
})
afterEach(() => {
  server.closeAllConnections()
  for (const agent of agents.splice(0)) agent.destroy()
})

const keeping = () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  agents.push(agent)
  return agent
}

type Reply = { readonly headers: IncomingMessage['headers']; readonly text: string; readonly whole: boolean }

const get = (path: string, agent?: Agent, onFirst?: () => void) => {
  return new Promise<Reply>((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, ...(agent ? { agent } : {}) }, (reply) => {
      let text = ''
      reply.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
        onFirst?.()
      })
      const settle = () => resolve({ headers: reply.headers, text, whole: reply.complete })
      reply.on('close', settle).on('error', settle)
    })
    outgoing.on('error', reject).end()
  })
}
/** Resolves when the first word is there; `rest` to the whole. */
const openStream = (agent?: Agent) =>
  new Promise<{ readonly rest: Promise<Reply> }>((resolve) => {
    const rest: Promise<Reply> = get('/stream', agent, () => resolve({ rest }))
  })
const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('without anybody inside it is closed at once', async () => {
  await get('/')
  const startedAt = performance.now()
  await drainServer(server, 60_000)
  expect(performance.now() - startedAt).toBeLessThan(1_000)
})

test('a connection that is kept for later does not hold it', async () => {
  await get('/', keeping())
  const startedAt = performance.now()
  await drainServer(server, 60_000)
  expect(performance.now() - startedAt).toBeLessThan(1_000)
})

test('a stream that runs is finished, and nobody new comes in meanwhile', async () => {
  const { rest } = await openStream()
  const draining = drainServer(server, 60_000)
  await expect(get('/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await after(200)
  for (const response of streams) response.end('last')
  expect(await rest).toMatchObject({ text: 'first last', whole: true })
  await draining
})

test('who comes again on an open connection is served and told to leave it', async () => {
  const agent = keeping()
  const { rest } = await openStream(agent) // one socket: the next request waits for its end
  const draining = drainServer(server, 60_000)
  const next = get('/', agent)
  for (const response of streams) response.end('last')
  await rest
  expect(await next).toMatchObject({ text: 'short', headers: { connection: 'close' } })
  await draining
})

test('a stream that does not end is cut after the time, so that its reader notices', async () => {
  const { rest } = await openStream()
  const startedAt = performance.now()
  await drainServer(server, 300)
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(290)
  expect(await rest).toMatchObject({ text: 'first ', whole: false })
})
