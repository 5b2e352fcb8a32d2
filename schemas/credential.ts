// What the command line remembers of a sign-in: one credential per address of a Gatehouse.
import { z } from 'zod'

export const StoredCredential = z.object({
  kind: z.enum(['session', 'wallet-token']),
  token: z.string(),
  expiresAt: z.string(),
  walletAddress: z.string(),
  /** The key that signed, to sign in again with. */
  keyFile: z.string(),
})
export type StoredCredential = z.output<typeof StoredCredential>

export const StoredCredentials = z.record(z.string(), StoredCredential)
export type StoredCredentials = z.output<typeof StoredCredentials>
