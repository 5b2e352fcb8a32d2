// Payloads as ciphertext: what is refused, what comes back, what never shows.
import { randomBytes } from 'node:crypto'
import { defaultPayloadConverter } from '@temporalio/common'
import { expect, test } from 'vitest'
import { createPayloadCodec, payloadFromJson, payloadToJson } from '../../crypto/payload-codec.ts'

const key = (id: string) => ({ id, key: randomBytes(32) })
const secret = 'sk-planted-0123456789'
const payload = defaultPayloadConverter.toPayload({ secret })

test('a codec without a key does not exist', () => {
  expect(() => createPayloadCodec([])).toThrow('A payload codec needs a key.')
})

test('a payload of an unknown key, or one that was changed, is refused', async () => {
  const mine = key('one')
  const [sealed] = await createPayloadCodec([mine]).encode([payload])
  if (!sealed?.data) throw new Error('An encoded payload has data.')
  await expect(createPayloadCodec([key('two')]).decode([sealed])).rejects.toThrow('is not here')
  await expect(createPayloadCodec([{ ...key('one') }]).decode([sealed])).rejects.toThrow(/authenticate/)
  for (const at of [0, 12, 28, sealed.data.length - 1]) {
    const data = Uint8Array.from(sealed.data)
    data[at] = (data[at] ?? 0) ^ 1
    await expect(createPayloadCodec([mine]).decode([{ ...sealed, data }])).rejects.toThrow(/authenticate/)
  }
  await expect(createPayloadCodec([mine]).decode([{ ...sealed, data: new Uint8Array(3) }])).rejects.toThrow(
    /[Ii]nvalid|authenticat/,
  )
})

test('what is encoded comes back, also through the JSON of the codec protocol', async () => {
  const codec = createPayloadCodec([key('one')])
  const [sealed] = await codec.encode([payload])
  const [opened] = await codec.decode([payloadFromJson(payloadToJson(sealed ?? {}))])
  expect(defaultPayloadConverter.fromPayload(opened ?? {})).toEqual({ secret })
})

test('ciphertext shows nothing of the content, and differs each time', async () => {
  const codec = createPayloadCodec([key('one')])
  const sealed = await codec.encode([payload, payload])
  const [first = '', second = ''] = sealed.map((each) => Buffer.from(each.data ?? []).toString('hex'))
  expect(first).not.toBe(second)
  for (const form of [secret, Buffer.from(secret).toString('base64').slice(0, 20), 'json/plain'])
    expect(Buffer.from(first, 'hex').toString('latin1')).not.toContain(form)
  expect(Object.keys(sealed[0]?.metadata ?? {}).toSorted()).toEqual(['encoding', 'encryption-key-id'])
})

test('after a change of keys the new one encodes and both decode; plain payloads pass', async () => {
  const [old, next] = [key('old'), key('new')]
  const before = await createPayloadCodec([old]).encode([payload])
  const both = createPayloadCodec([next, old])
  const after = await both.encode([payload])
  expect(Buffer.from(after[0]?.metadata?.['encryption-key-id'] ?? []).toString()).toBe('new')
  for (const each of await both.decode([...before, ...after, payload]))
    expect(defaultPayloadConverter.fromPayload(each)).toEqual({ secret })
})
