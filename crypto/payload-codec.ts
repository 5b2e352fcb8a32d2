// Temporal payloads as ciphertext: AES-256-GCM, a fresh nonce each, the key's id beside it. Several keys decode, one
// encodes. The associated data names version and key only, because the codec endpoint decodes without any context.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Payload, PayloadCodec } from '@temporalio/common'
import proto from '@temporalio/proto'

export type CodecKey = { readonly id: string; readonly key: Uint8Array }

const encoding = Buffer.from('binary/encrypted')
const version = 1
const nonceBytes = 12
const tagBytes = 16

const { Payload: PayloadMessage } = proto.temporal.api.common.v1

/** A codec that encodes with the first key and decodes with any. */
export function createPayloadCodec(keys: readonly CodecKey[]): PayloadCodec {
  const [current] = keys
  if (!current) throw new Error('A payload codec needs a key.')
  return {
    encode: async (payloads) => payloads.map((payload) => encrypt(current, payload)),
    decode: async (payloads) => payloads.map((payload) => (isEncrypted(payload) ? decrypt(keys, payload) : payload)),
  }
}

const isEncrypted = (payload: Payload) => Buffer.from(payload.metadata?.['encoding'] ?? []).equals(encoding)
const associated = (keyId: string) => Buffer.from(`${version}:${keyId}`)

function encrypt({ id, key }: CodecKey, payload: Payload): Payload {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(associated(id))
  const clear = PayloadMessage.encode(payload).finish()
  const body = Buffer.concat([cipher.update(clear), cipher.final()])
  return {
    metadata: { encoding, 'encryption-key-id': Buffer.from(id) },
    data: Buffer.concat([nonce, cipher.getAuthTag(), body]),
  }
}

function decrypt(keys: readonly CodecKey[], payload: Payload): Payload {
  const id = Buffer.from(payload.metadata?.['encryption-key-id'] ?? []).toString('utf8')
  const found = keys.find((candidate) => candidate.id === id)
  if (!found) throw new Error('The payload was encrypted with a key that is not here.')
  const data = Buffer.from(payload.data ?? [])
  const decipher = createDecipheriv('aes-256-gcm', found.key, data.subarray(0, nonceBytes))
  decipher.setAAD(associated(id))
  decipher.setAuthTag(data.subarray(nonceBytes, nonceBytes + tagBytes))
  const clear = Buffer.concat([decipher.update(data.subarray(nonceBytes + tagBytes)), decipher.final()])
  return PayloadMessage.decode(clear)
}

/** A payload as the codec protocol writes it: base64 metadata values and data. */
export type JsonPayload = {
  readonly metadata?: Readonly<Record<string, string>> | undefined
  readonly data?: string | undefined
}

export function payloadFromJson(json: JsonPayload): Payload {
  const metadata = Object.entries(json.metadata ?? {}).map(
    ([name, value]) => [name, Buffer.from(value, 'base64')] as const,
  )
  return { metadata: Object.fromEntries(metadata), data: Buffer.from(json.data ?? '', 'base64') }
}

export function payloadToJson(payload: Payload): JsonPayload {
  const metadata = Object.entries(payload.metadata ?? {}).map(
    ([name, value]) => [name, Buffer.from(value).toString('base64')] as const,
  )
  return { metadata: Object.fromEntries(metadata), data: Buffer.from(payload.data ?? []).toString('base64') }
}
