// Sealing under the installation's master key: AES-256-GCM, a fresh nonce each time, the purpose as associated data, so
// that what was sealed for one purpose opens for no other.
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

export type Seal = {
  readonly seal: (purpose: string, clear: Uint8Array) => Buffer
  /** Throws when the bytes were changed, sealed for another purpose or under another key. */
  readonly open: (purpose: string, sealed: Uint8Array) => Buffer
  /** A key of its own for a purpose, derived from the master key (HKDF-SHA256, RFC 5869). */
  readonly derive: (purpose: string) => Buffer
}

const version = 1
const nonceBytes = 12
const tagBytes = 16

/** Wraps a 32-byte master key. */
export function createSeal(masterKey: Uint8Array): Seal {
  if (masterKey.length !== 32) throw new Error('The master key must have 32 bytes.')
  const derive = (purpose: string) => Buffer.from(hkdfSync('sha256', masterKey, '', `gatehouse/${purpose}`, 32))
  return {
    derive,
    seal(purpose, clear) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', derive(`seal/${purpose}`), nonce)
      cipher.setAAD(Buffer.from(`${version}:${purpose}`))
      const body = Buffer.concat([cipher.update(clear), cipher.final()])
      return Buffer.concat([Buffer.of(version), nonce, cipher.getAuthTag(), body])
    },
    open(purpose, sealed) {
      const bytes = Buffer.from(sealed)
      if (bytes[0] !== version || bytes.length < 1 + nonceBytes + tagBytes)
        throw new Error('The sealed bytes are not ours.')
      const decipher = createDecipheriv('aes-256-gcm', derive(`seal/${purpose}`), bytes.subarray(1, 1 + nonceBytes))
      decipher.setAAD(Buffer.from(`${version}:${purpose}`))
      decipher.setAuthTag(bytes.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes))
      return Buffer.concat([decipher.update(bytes.subarray(1 + nonceBytes + tagBytes)), decipher.final()])
    },
  }
}
