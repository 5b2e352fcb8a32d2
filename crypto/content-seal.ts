// Sealing what was said: AES-256-GCM under the key of a session, a fresh nonce each time, the place of the content as
// associated data, so that no content opens in another session, turn, step or kind. Session keys themselves are wrapped
// the same way under a version of the installation's transcript key.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const format = 1
const nonceBytes = 12
const tagBytes = 16
const keyBytes = 32

/** Seals for one place; each word of the place is bound. */
export function sealContent(key: Uint8Array, place: readonly string[], clear: Uint8Array): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(boundTo(place))
  const body = Buffer.concat([cipher.update(clear), cipher.final()])
  return Buffer.concat([Buffer.of(format), nonce, cipher.getAuthTag(), body])
}

/** Throws when the bytes were changed, sealed for another place or under another key. */
export function openContent(key: Uint8Array, place: readonly string[], sealed: Uint8Array): Buffer {
  const bytes = Buffer.from(sealed)
  if (bytes[0] !== format || bytes.length < 1 + nonceBytes + tagBytes) throw new Error('The content is not ours.')
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 1 + nonceBytes))
  decipher.setAAD(boundTo(place))
  decipher.setAuthTag(bytes.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes))
  return Buffer.concat([decipher.update(bytes.subarray(1 + nonceBytes + tagBytes)), decipher.final()])
}

export const newSessionKey = (): Buffer => randomBytes(keyBytes)

type Wrapping = { readonly version: number; readonly key: Uint8Array }
const placeOfKey = (sessionId: string, version: number) => ['session-key', sessionId, version.toString()]

export function wrapSessionKey({ version, key }: Wrapping, sessionId: string, sessionKey: Uint8Array): Buffer {
  return sealContent(key, placeOfKey(sessionId, version), sessionKey)
}

/** Throws when the wrapping key is another one. */
export function unwrapSessionKey({ version, key }: Wrapping, sessionId: string, wrapped: Uint8Array): Buffer {
  return openContent(key, placeOfKey(sessionId, version), wrapped)
}

const boundTo = (place: readonly string[]) => Buffer.from(JSON.stringify([format, ...place]))
