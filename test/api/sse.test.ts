// Server-sent events over a real socket: framing, keep-alive, slow readers, gone readers.
import { createServer, type ServerResponse } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { frameOf, openEvents } from '../../api/sse.ts'

const opened: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0)) await close()
})

async function meet(): Promise<{ response: ServerResponse; socket: Socket; received: () => string }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const asked = new Promise<ServerResponse>((resolve) =>
    server.once('request', (_request, response) => resolve(response)),
  )
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  socket.on('error', () => undefined)
  opened.push(async () => {
    socket.destroy()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { response: await asked, socket, received: () => text }
}

test('a frame is LF only, with one data line whatever the text holds', () => {
  const frame = frameOf({ id: 7n, type: 'text', data: 'a\r\nb\u2028c' })
  expect(frame).toBe('id: 7\ndata: {"type":"text","data":"a\\r\\nb\u2028c"}\n\n')
  expect(frameOf({ id: null, type: 'status', data: {} })).toBe('data: {"type":"status","data":{}}\n\n')
})

test('headers forbid caching and buffering', async () => {
  const { response, received } = await meet()
  openEvents(response, { headers: { 'x-turn-id': 't' }, onDrop: () => undefined })
  await expect.poll(received).toContain('\r\n\r\n')
  expect(received()).toMatch(/content-type: text\/event-stream/i)
  expect(received()).toMatch(/cache-control: no-store/i)
  expect(received()).toMatch(/x-accel-buffering: no/i)
  expect(received()).toMatch(/x-turn-id: t/i)
})

test('silence is broken by comments', async () => {
  const { response, received } = await meet()
  openEvents(response, { headers: {}, onDrop: () => undefined, keepAliveMs: 20 })
  await expect.poll(received).toContain(': keep-alive\n\n')
})

test('the last event is delivered when its bytes were handed over, and not when the client is gone', async () => {
  const here = await meet()
  const delivered = openEvents(here.response, { headers: {}, onDrop: () => undefined })
  expect(await delivered.finish({ id: 1n, type: 'done', data: {} })).toBe(true)
  const gone = await meet()
  const lost = openEvents(gone.response, { headers: {}, onDrop: () => undefined })
  gone.socket.destroy()
  await new Promise((resolve) => gone.response.once('close', resolve))
  expect(await lost.finish({ id: 1n, type: 'done', data: {} })).toBe(false)
  expect(await lost.send([{ id: 2n, type: 'text', data: 'x' }])).toBe(false)
})

test('a client that does not read is dropped, with little kept for it', async () => {
  const { response, socket } = await meet()
  socket.pause()
  let dropped = 0
  let buffered = 0
  const events = openEvents(response, {
    headers: {},
    onDrop: () => (dropped += 1),
    keepAliveMs: 100,
    bufferBytesMax: 100_000,
  })
  const data = 'x'.repeat(20_000)
  for (let index = 0; index < 2_000; index += 1) {
    buffered = Math.max(buffered, response.writableLength)
    if (!(await events.send([{ id: BigInt(index), type: 'text', data }]))) break
  }
  expect(dropped).toBe(1)
  expect(response.destroyed).toBe(true)
  expect(buffered).toBeLessThan(200_000)
})
