// The event reader against everything a network does to text.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { streamEventCharsMax } from '../../domain/limits.ts'
import { createFrameReader, readFrames, StreamCut } from '../../sdk/sse.ts'

test('refuses an event that never ends', () => {
  const take = createFrameReader()
  expect(() => take(`data: ${'x'.repeat(streamEventCharsMax)}`)).toThrow(StreamCut)
})

test('refuses a larger event in whatever pieces it comes, many lines or one, also when its end is there', () => {
  const long = `data: ${'x'.repeat(streamEventCharsMax)}\n\n`
  expect(() => createFrameReader()(long)).toThrow(StreamCut)
  const lines = `data: ${'x'.repeat(1_000)}\n`
  const take = createFrameReader()
  const fill = () => {
    for (let chars = 0; chars <= streamEventCharsMax; chars += 1_000) take(lines)
  }
  expect(fill).toThrow(StreamCut)
  const names = createFrameReader()
  expect(() => names('x'.repeat(streamEventCharsMax + 1))).toThrow(StreamCut)
})

test('many events are as much as they are: the bound is on each', () => {
  const take = createFrameReader()
  const event = `data: ${'x'.repeat(900_000)}\n\n`
  for (let round = 0; round < 20; round += 1) expect(take(event)).toHaveLength(1)
})

test('a very large event in small pieces costs time in proportion', () => {
  const take = createFrameReader()
  const piece = 'x'.repeat(1_000)
  take('data: ')
  const startedAt = performance.now()
  for (let chars = 0; chars < streamEventCharsMax - 10_000; chars += piece.length) take(piece)
  const [frame] = take('\n\n')
  expect(performance.now() - startedAt).toBeLessThan(1_500)
  expect(frame?.data.length).toBeGreaterThan(streamEventCharsMax - 12_000)
})

test('leaving ends the reader at once, also on a stream that does not let go', async () => {
  const stuck = new ReadableStream<Uint8Array>({
    start: (control) => control.enqueue(new TextEncoder().encode('data: last\n\n')),
    cancel: () => new Promise(() => undefined),
  })
  for await (const frame of readFrames(stuck, 5_000)) {
    expect(frame.data).toBe('last')
    break
  }
}, 2_000)

test('refuses a stream that falls silent', async () => {
  const silent = new ReadableStream<Uint8Array>({
    start: (control) => control.enqueue(new TextEncoder().encode(': hi\n')),
  })
  const read = async () => {
    for await (const frame of readFrames(silent, 30)) throw new Error(`There is no frame ${frame.data}.`)
  }
  await expect(read()).rejects.toThrow('silent for 30 ms')
})

test('drops a frame that was not finished when the stream ended', async () => {
  const body = new Response('id: 1\ndata: whole\n\nid: 2\ndata: torn').body
  const frames = []
  for await (const frame of readFrames(body ?? new ReadableStream(), 1000)) frames.push(frame)
  expect(frames).toEqual([{ id: '1', data: 'whole' }])
})

test('skips comments and frames without data, keeps the id, joins data lines', () => {
  const take = createFrameReader()
  expect(take(': keep-alive\n\nid: 7\n\ndata: a\ndata:b\n\n')).toEqual([{ id: '7', data: 'a\nb' }])
  expect(take('event: x\nretry: 5\ndata\n\n')).toEqual([{ id: '7', data: '' }])
})

test('a carriage return before the line feed is no part of the line', () => {
  expect(createFrameReader()('id: 1\r\ndata: a\r\n\r\n')).toEqual([{ id: '1', data: 'a' }])
})

test('reads the same events wherever the bytes are torn', async () => {
  const text = 'id: 1\ndata: grüße 👋\n\n: wait\n\nid: 2\ndata: {"a":"b"}\n\n'
  const bytes = new TextEncoder().encode(text)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 8 }), async (cuts) => {
      const edges = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
      const body = new ReadableStream<Uint8Array>({
        start(control) {
          for (const [index, edge] of edges.entries()) control.enqueue(bytes.slice(edge, edges[index + 1] ?? edge))
          control.close()
        },
      })
      const data: string[] = []
      for await (const frame of readFrames(body, 1000)) data.push(`${frame.id} ${frame.data}`)
      expect(data).toEqual(['1 grüße 👋', '2 {"a":"b"}'])
    }),
  )
})
