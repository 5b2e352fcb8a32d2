// Runtime scopes of a wallet on the wire (contracts 6). Amounts are decimal strings of micro-USD.
import { z } from 'zod'
import { scopeMetadataBytesMax, scopeNameCharsMax, scopeReferenceCharsMax, toolServersMax } from '../domain/limits.ts'
import { Amount, LimitOrder } from './budget.ts'
import { PlainText, smallJson, Uuid } from './common.ts'

export const ScopeStatus = z.enum(['active', 'paused', 'archived'])

const ServerId = z.string().regex(/^[a-z0-9]+(?:[-_][a-z0-9]+)*$/, 'must be the id of a tool server')

export const RuntimeScope = z.object({
  id: Uuid,
  walletAddress: z.string(),
  name: z.string(),
  externalRef: z.string().nullable(),
  status: ScopeStatus,
  metadata: z.record(z.string(), z.unknown()),
  /** What it may spend in total; null when only the wallet limits it. */
  budgetMicrousd: Amount.nullable(),
  spentMicrousd: Amount,
  /** Servers whose tools a turn in this scope may use; none when empty. */
  enabledServerIds: z.array(z.string()),
})
export type RuntimeScope = z.output<typeof RuntimeScope>
export const RuntimeScopePage = z.object({
  scopes: z.array(RuntimeScope),
  total: z.number().int(),
  hasMore: z.boolean(),
})
export type RuntimeScopePage = z.output<typeof RuntimeScopePage>

const members = {
  name: PlainText.min(1).max(scopeNameCharsMax),
  externalRef: PlainText.max(scopeReferenceCharsMax).nullable(),
  metadata: smallJson(scopeMetadataBytesMax),
  budgetMicrousd: LimitOrder.nullable(),
  enabledServerIds: z.array(ServerId).max(toolServersMax),
}

export const NewRuntimeScope = z.object(members).partial().required({ name: true })
export type NewRuntimeScope = z.output<typeof NewRuntimeScope>

/** What is left out stays as it is. */
export const RuntimeScopeChange = z.object({ ...members, status: ScopeStatus }).partial()
export type RuntimeScopeChange = z.output<typeof RuntimeScopeChange>

export const ScopeParams = z.object({ id: Uuid })
export const ScopeServerParams = ScopeParams.extend({ server: ServerId })
/** Alias of the header `X-Runtime-Scope-Id`. */
export const ScopeQuery = z.object({ scopeId: z.string().max(200).optional() })
