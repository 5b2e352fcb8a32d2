// Digests of evidence. What is hashed is a value's canonical JSON, so that anybody with the value finds the same digest.
import { createHash } from 'node:crypto'
import { canonicalJson } from './portable/canonical-json.ts'

/** Lower-case hex SHA-256 of a text's UTF-8 bytes. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}

/** SHA-256 of a value's canonical JSON. What JSON cannot say is first written as its nearest text. */
export function digestOf(value: unknown): string {
  return sha256Hex(evidenceText(value))
}

/** The text that `digestOf` hashes. */
export function evidenceText(value: unknown): string {
  try {
    return canonicalJson(value)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return canonicalJson(JSON.parse(JSON.stringify(value, sayable) ?? 'null'))
  }
}

function sayable(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return typeof value === 'string' ? wellFormed(value) : value
}

/** Replaces what neither canonical JSON nor a jsonb column holds: lone surrogates and NUL. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}|\0/gu, '\ufffd')
}
