// Shapes of the wallet sign-in family (contracts 2).
import { z } from 'zod'
import { permissionCharsMax, permissionsMax } from '../domain/limits.ts'
import { isPermission } from '../domain/permission.ts'
import { Address } from './common.ts'

const Signature = z.string().max(200)
const Instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text))
const Permission = z.string().max(permissionCharsMax).refine(isPermission, 'must be namespace:action')

export const ChallengeQuery = z.object({ walletAddress: Address.optional() })
export const Challenge = z.object({ nonce: z.string(), message: z.string() })

export const VerifyRequest = z.object({
  walletAddress: Address,
  signature: Signature,
  nonce: z.string().min(1).max(128),
  testMode: z.never('is always refused').optional(),
})
export const VerifyReply = z.object({ token: z.string(), expiresAt: z.iso.datetime(), walletAddress: z.string() })

export const TokenMessageQuery = z.object({
  walletAddress: Address,
  expiresAt: Instant,
  permissions: z
    .string()
    .transform((text) => (text === '' ? [] : text.split(',').map((part) => part.trim())))
    .pipe(z.array(Permission).max(permissionsMax))
    .default([]),
  serverId: z.string().min(1).max(100).optional(),
})
export const TokenMessage = z.object({ message: z.string() })

export const CreateTokenRequest = z.object({
  walletAddress: Address,
  signature: Signature,
  expiresAt: Instant,
  permissions: z.array(Permission).max(permissionsMax).default([]),
  serverId: z.string().min(1).max(100).optional(),
})

export const RevokeRequest = z.union([
  z.object({ tokenId: z.string().regex(/^[0-9a-f]{32,64}$/) }),
  z.object({ all: z.literal(true) }),
])
export const RevokeReply = z.object({ revoked: z.string(), epoch: z.number().int() })

export const LinkReply = z.object({ url: z.string(), expiresIn: z.number().int() })
export const LinkParams = z.object({ code: z.string().min(16).max(128) })

export const KeySet = z.object({ keys: z.array(z.looseObject({ kid: z.string(), kty: z.string() })) })
