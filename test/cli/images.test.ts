// Images of a message: what is refused before anything is sent, and what is sent.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { imageBytesMax } from '../../domain/limits.ts'
import {
  done,
  frames,
  json,
  refuse,
  sessionRow,
  startApiDouble,
  stream,
  type ApiDouble,
} from '../support/api-double.ts'
import { linesOf, signedInDesk, type Desk } from '../support/cli.ts'

let api: ApiDouble
let desk: Desk
const files = new Map<string, Buffer>()
const post = 'POST /agents/assistant/sessions/session-1/chat'

const heads = { png: '89504e470d0a1a0a', jpeg: 'ffd8ffe0', webp: '52494646000000005745425056503820' }
const image = (hex: string, bytes = 100) => Buffer.concat([Buffer.from(hex, 'hex')], bytes)

beforeEach(async () => {
  api = await startApiDouble()
  desk = signedInDesk(api.url)
  api.on('POST /agents/assistant/sessions', json(sessionRow))
  api.on(post, stream(frames([['text', 'A cat.'], done()])))
  files.clear()
})
afterEach(() => api[Symbol.asyncDispose]())

async function* piecesOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

const readBytes = async (path: string) => {
  const bytes = files.get(path)
  return bytes === undefined ? undefined : piecesOf(bytes)
}
const look = (...names: string[]) =>
  desk.run(['chat', 'assistant', 'what is this?', ...names.flatMap((name) => ['--image', name])], { readBytes })

test('a file that is no image, absent or too large is refused by name before anything is sent', async () => {
  files.set('/here/text.png', Buffer.from('a text that calls itself a PNG'))
  files.set('/here/large.png', image(heads.png, imageBytesMax + 1))
  files.set('/here/empty.png', Buffer.alloc(0))
  for (const [name, sentence] of [
    ['text.png', 'text.png is no JPEG, PNG or WebP image.'],
    ['empty.png', 'empty.png is no JPEG, PNG or WebP image.'],
    ['large.png', 'large.png is larger than 5000000 bytes, the most an image may have.'],
    ['absent.png', 'There is no file absent.png.'],
  ] as const) {
    const ran = await look(name)
    expect(ran).toMatchObject({ code: 2, out: '' })
    expect(ran.err).toContain(sentence)
  }
  expect(api.asked).toEqual([])
})

test('nine images are one too many, and three large ones do not fit into one request', async () => {
  files.set('/here/a.png', image(heads.png))
  files.set('/here/b.png', image(heads.png, 4_000_000))
  expect((await look(...Array.from({ length: 9 }, () => 'a.png'))).err).toContain(
    '9 images are too many; a message takes 8.',
  )
  const ran = await look('b.png', 'b.png', 'b.png')
  expect(ran.code).toBe(2)
  expect(ran.err).toMatch(/is 16\d{6} bytes as it is sent; at most 12000000 are\./)
  expect(api.to(post)).toEqual([])
})

test('an image of the largest size is sent, by the type of its bytes whatever its name', async () => {
  files.set('/here/photo.txt', image(heads.png, imageBytesMax))
  files.set('/here/b', image(heads.jpeg))
  files.set('/here/c.png', image(heads.webp))
  expect(await look('photo.txt', 'b', 'c.png')).toMatchObject({ code: 0 })
  const body = api.to(post)[0]?.body as { message: string; images: { mediaType: string; data: string }[] }
  expect(body.message).toBe('what is this?')
  expect(body.images.map(({ mediaType }) => mediaType)).toEqual(['image/png', 'image/jpeg', 'image/webp'])
  expect(Buffer.from(body.images[0]?.data ?? '', 'base64').equals(files.get('/here/photo.txt') ?? Buffer.of())).toBe(
    true,
  )
})

test('a message that is refused keeps its images for the next one', async () => {
  files.set('/here/a.png', image(heads.png))
  api.on(post, refuse(402, 'INSUFFICIENT_FUNDS'), stream(frames([['text', 'A cat.'], done()])))
  const typed = ['x'.repeat(12_000_000), 'what is this?', 'now?', 'sure?']
  const openEditor = () => ({
    async ask() {
      const text = typed.shift()
      return text === undefined ? ({ kind: 'end' } as const) : ({ kind: 'text', text } as const)
    },
  })
  const ran = await desk.run(['chat', 'assistant', '--image', 'a.png'], { readBytes, openEditor, isInputTty: true })
  expect(ran.code).toBe(0)
  expect(ran.err).toContain('at most 12000000 are.')
  expect(api.to(post).map(({ body }) => [body['message'], 'images' in body])).toEqual([
    ['what is this?', true],
    ['now?', true],
    ['sure?', false],
  ])
})

test('in a conversation images belong to the first message', async () => {
  files.set('/here/a.png', image(heads.png))
  const inputLines = () => linesOf(['what is this?', 'sure?'])
  await desk.run(['chat', 'assistant', '--image', 'a.png'], { readBytes, inputLines })
  expect(api.to(post).map(({ body }) => Object.keys(body))).toEqual([['message', 'images'], ['message']])
})
