// Keys of transcripts in memory, as the state folder keeps them.
import { randomBytes } from 'node:crypto'
import { createSeal } from '../../crypto/seal.ts'
import type { Pool } from '../../db/pool.ts'
import type { KeyRing } from '../../gateway/ports.ts'
import { createTranscripts, type Transcripts } from '../../gateway/transcripts.ts'

export function ringOf(keys: readonly Uint8Array[]): KeyRing {
  return {
    active: async () => ({ version: keys.length, key: keys.at(-1) ?? new Uint8Array(32) }),
    of: async (version) => keys[version - 1],
  }
}

export const testTranscripts = (pool: Pool, key: Uint8Array = randomBytes(32)): Transcripts =>
  createTranscripts({ pool, ring: ringOf([key]) })

/** As a process has them that was given the master key. */
export const derivedTranscripts = (pool: Pool, masterKey: Uint8Array): Transcripts => {
  const key = createSeal(masterKey).derive('transcript')
  const ring: KeyRing = { active: async () => ({ version: 0, key }), of: async () => key }
  return createTranscripts({ pool, ring })
}
