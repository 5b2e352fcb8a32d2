// Shapes of the wallet sign-in family (contracts 2).
import { z } from 'zod'
import { permissionCharsMax, permissionsMax } from '../domain/limits.ts'
import { isPermission, serverIdShape } from '../domain/permission.ts'

// As it was written: the door looks at the checksum of EIP-55 before it forgets the case.
const WrittenAddress = z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'must be 0x and 40 hexadecimal digits')
const ServerId = z.string().regex(serverIdShape, 'must be the id of a tool server')
const Signature = z.string().max(200)
const Instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text))
const Permission = z.string().max(permissionCharsMax).refine(isPermission, 'must be namespace:action')

export const ChallengeQuery = z.object({ walletAddress: WrittenAddress.optional() })
export const Challenge = z.object({ nonce: z.string(), message: z.string() })

export const VerifyRequest = z.object({
  walletAddress: WrittenAddress,
  signature: Signature,
  nonce: z.string().regex(/^[A-Za-z0-9]{1,128}$/, 'must be the nonce of a challenge'),
  testMode: z.never('is always refused').optional(),
})
export const VerifyReply = z.object({ token: z.string(), expiresAt: z.iso.datetime(), walletAddress: z.string() })

export const TokenMessageQuery = z.object({
  walletAddress: WrittenAddress,
  expiresAt: Instant,
  permissions: z
    .string()
    .transform((text) => (text === '' ? [] : text.split(',').map((part) => part.trim())))
    .pipe(z.array(Permission).max(permissionsMax))
    .default([]),
  serverId: ServerId.optional(),
})
export const TokenMessage = z.object({ message: z.string() })

export const CreateTokenRequest = z.object({
  walletAddress: WrittenAddress,
  signature: Signature,
  expiresAt: Instant,
  permissions: z.array(Permission).max(permissionsMax).default([]),
  serverId: ServerId.optional(),
})

export const RevokeRequest = z.union([
  z.object({ tokenId: z.string().regex(/^[0-9a-f]{32,64}$/) }),
  z.object({ all: z.literal(true) }),
])
export const RevokeReply = z.object({ revoked: z.string(), epoch: z.number().int() })

export const LinkReply = z.object({ url: z.string(), expiresIn: z.number().int() })
export const LinkParams = z.object({ code: z.string().regex(/^[\w-]{16,128}$/) })

/** What a sign-in link remembers of the credential that opened it. */
export const LinkPayload = z.object({
  wallet: z.string(),
  gate: z.array(z.object({ scope: z.string(), epoch: z.number().int() })).readonly(),
  until: z.iso.datetime(),
  authenticatedAt: z.iso.datetime().optional(),
})
export type LinkPayload = z.output<typeof LinkPayload>

export const KeySet = z.object({ keys: z.array(z.looseObject({ kid: z.string(), kty: z.string() })) })
