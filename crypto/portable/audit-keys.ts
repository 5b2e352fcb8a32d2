// The public keys of an installation's evidence as tools for checking it, with WebCrypto alone.
import { AuditKeySet } from '../../schemas/audit-export.ts'
import type { ChainTools } from './audit-chain.ts'

/** Opens a key set (RFC 7517) of Ed25519 keys. Throws TypeError for anything else. */
export async function openAuditKeys(keySet: unknown): Promise<ChainTools> {
  const parsed = AuditKeySet.safeParse(keySet)
  if (!parsed.success) throw new TypeError('These are no public Ed25519 keys of an audit chain.')
  const keys = new Map<string, Awaited<ReturnType<typeof crypto.subtle.importKey>>>()
  for (const { kid, kty, crv, x } of parsed.data.keys) {
    const key = await crypto.subtle.importKey('jwk', { kty, crv, x }, { name: 'Ed25519' }, false, ['verify'])
    keys.set(kid, key)
  }
  return {
    sha256: async (text) => hexOf(new Uint8Array(await crypto.subtle.digest('SHA-256', bytesOf(text)))),
    async verify({ kid, text, signature }) {
      const key = keys.get(kid)
      if (!key) return undefined
      return crypto.subtle.verify({ name: 'Ed25519' }, key, fromBase64(signature), bytesOf(text))
    },
  }
}

const bytesOf = (text: string) => new TextEncoder().encode(text)

const hexOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
