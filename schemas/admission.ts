// How a principal is remembered beside a turn: enough to decide and to revoke, never a credential. Roles are not part
// of it; they are read at each decision.
import { z } from 'zod'
import { Uuid } from './common.ts'

export const GateScope = z.strictObject({ scope: z.string(), epoch: z.number().int() })

export const Admission = z.strictObject({
  tenant: z.string(),
  subject: z.strictObject({ kind: z.enum(['human', 'agent', 'workload', 'operator']), id: z.string() }),
  wallet: z.string(),
  walletId: z.string(),
  permissions: z.array(z.string()),
  serverId: z.string().optional(),
  proof: z.strictObject({
    kind: z.enum(['none', 'dpop', 'mtls', 'erc8128', 'tgp']),
    thumbprint: z.string().optional(),
    replayId: z.string().optional(),
  }),
  assurance: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]),
  sessionIds: z.strictObject({
    usid: z.string(),
    wsid: z.string().optional(),
    asid: z.string().optional(),
    msid: z.string().optional(),
  }),
  gate: z.array(GateScope),
  tokenId: z.string(),
  /** The runtime scope that the turn is paid from and confined by. */
  runtimeScopeId: Uuid.optional(),
  /** Version of an agent that its owner made, as the turn began with it; absent for a recipe. */
  agentVersion: z.number().int().min(1).optional(),
  expiresAt: z.iso.datetime(),
})
export type Admission = z.output<typeof Admission>
