// The event reader against everything a network does to text.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { streamEventCharsMax } from '../../domain/limits.ts'
import { createFrameReader, readFrames, StreamCut } from '../../sdk/sse.ts'

test('refuses an event that never ends', () => {
  const take = createFrameReader()
  expect(() => take(`data: ${'x'.repeat(streamEventCharsMax)}`)).toThrow(StreamCut)
})

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
