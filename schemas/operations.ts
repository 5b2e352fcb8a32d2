// Health, readiness and problem pages.
import { z } from 'zod'

const KeySource = z.enum(['tpm_pcr', 'env_fallback'])

export const Health = z.object({
  status: z.enum(['ok', 'degraded']),
  version: z.string(),
  securityPosture: z.object({
    mode: z.string(),
    attestationAvailability: z.object({ teeEnabled: z.boolean() }),
    keySources: z.object({
      jwtSecret: KeySource,
      signingKeyMaterial: KeySource,
      ledgerEncryptionKey: KeySource,
      byokVaultEncryptionKey: KeySource,
    }),
    crossGatewayTrust: z.object({ state: z.string(), attestationUrl: z.null(), attestedJwksHashTrunc16: z.null() }),
    degraded: z.boolean(),
    degradedReasons: z.array(z.string()),
  }),
})

export const Ready = z.object({
  ready: z.boolean(),
  database: z.boolean(),
  temporal: z.boolean(),
  revocationFeed: z.boolean(),
})

export const ProblemPage = z.object({ code: z.string(), status: z.number(), title: z.string() })
