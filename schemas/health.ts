// What an installation says about itself (contracts 10), as far as there is something to say.
import { z } from 'zod'

export const Health = z.object({
  status: z.literal('ok'),
  version: z.string(),
  securityPosture: z.object({
    mode: z.enum(['development', 'production']),
    attestationAvailability: z.object({ teeEnabled: z.boolean() }),
    keySources: z.object({
      jwtSecret: z.enum(['tpm_pcr', 'env_fallback']),
      signingKeyMaterial: z.enum(['tpm_pcr', 'env_fallback']),
    }),
    crossGatewayTrust: z.object({
      state: z.enum(['trusted', 'degraded_hash_mismatch', 'degraded_no_attestation']),
      attestationUrl: z.string().nullable(),
      attestedJwksHashTrunc16: z.string().nullable(),
    }),
    degraded: z.boolean(),
    degradedReasons: z.array(z.string()),
  }),
})
export type Health = z.output<typeof Health>

const Check = z.enum(['ok', 'failed'])

export const Readiness = z.object({
  ready: z.boolean(),
  checks: z.object({ database: Check, temporal: Check, revocations: Check }),
  /** `stopped`: holds of a wallet or of everybody are refused until an operator has looked. */
  money: z.enum(['ok', 'stopped', 'unknown']),
  /**
   * `file-refused`: a policy file is unusable and its old version decides. `set-refused`: this process cannot use the newest
   * policies and decides by older ones. `stale`: it did not read them lately.
   */
  policy: z.enum(['ok', 'file-refused', 'set-refused', 'stale']),
})
export type Readiness = z.output<typeof Readiness>
