// What the server answers, as far as this client reads it. Unknown members pass through: a newer server never breaks an
// older client.
import { z } from 'zod'
import { formatUsd, parseMicros } from '../domain/money.ts'

const Micros = z.string().regex(/^-?\d{1,19}$/, 'must be a decimal string of micro-USD')
const Instant = z.string().nullish()

export const Issued = z.looseObject({ token: z.string().min(1), expiresAt: z.string(), walletAddress: z.string() })

export const AgentSummary = z.looseObject({
  id: z.string(),
  name: z.string(),
  title: z.string().nullish(),
  description: z.string().nullish(),
  model: z.string().nullish(),
  skillsCount: z.number().optional(),
})
export type AgentSummary = z.output<typeof AgentSummary>
export const AgentList = z.looseObject({ agents: z.array(AgentSummary) })

const Named = z.union([z.string(), z.looseObject({ name: z.string(), description: z.string().nullish() })])
export const Agent = z.looseObject({
  ...AgentSummary.shape,
  tools: z.array(Named).default([]),
  skills: z.array(Named).default([]),
  categories: z.array(z.string()).optional(),
  pricing: z
    .looseObject({
      type: z.string(),
      amount: z.union([z.string(), z.number()]).nullish(),
      description: z.string().nullish(),
    })
    .nullish(),
})
export type Agent = z.output<typeof Agent>

/** An agent of one's own, as it is sent: the id that its owner chose, and what it is. */
export type AgentDefinition = {
  readonly id: string
  readonly name: string
  readonly title?: string
  readonly description?: string
  readonly model?: string
  readonly category?: string
  readonly mcp_servers?: readonly string[]
  readonly tools?: readonly string[]
  readonly systemPrompt?: string
  readonly routing?: string
  readonly skills?: readonly {
    readonly name: string
    readonly title: string
    readonly description: string
    readonly text: string
  }[]
  readonly outputTokensMax?: number
  readonly stepsMax?: number
  readonly metadata?: Readonly<Record<string, unknown>>
}

export const SavedAgent = z.looseObject({
  agentId: z.string(),
  agentName: z.string().nullish(),
  version: z.number().optional(),
})
export type SavedAgent = z.output<typeof SavedAgent>

export const CustomAgent = z.looseObject({
  agentId: z.string(),
  version: z.number(),
  createdAt: Instant,
  updatedAt: Instant,
  definition: z.looseObject({ id: z.string(), name: z.string() }),
  tools: z.array(Named).default([]),
})
export type CustomAgent = z.output<typeof CustomAgent>

export const OwnAgent = z.looseObject({
  agentId: z.string(),
  version: z.number(),
  name: z.string(),
  title: z.string().nullish(),
  updatedAt: Instant,
})
export type OwnAgent = z.output<typeof OwnAgent>
export const OwnAgentList = z.looseObject({ agents: z.array(OwnAgent) })

export const AgentRequirements = z.looseObject({
  agentId: z.string(),
  servers: z.array(
    z.looseObject({ serverId: z.string(), name: z.string().nullish(), missing: z.array(z.string()).optional() }),
  ),
  totalRequired: z.number(),
})
export type AgentRequirements = z.output<typeof AgentRequirements>

export const SessionSummary = z.looseObject({
  id: z.string(),
  agentId: z.string(),
  model: z.string().nullish(),
  createdAt: Instant,
  lastActiveAt: Instant,
  lastMessageAt: Instant,
  messageCount: z.number().optional(),
  preview: z.string().nullish(),
})
export type SessionSummary = z.output<typeof SessionSummary>
export const SessionList = z.looseObject({ sessions: z.array(SessionSummary) })

export const Message = z.looseObject({ role: z.string(), content: z.unknown(), timestamp: Instant })
export type Message = z.output<typeof Message>
export const Session = z.looseObject({
  ...SessionSummary.shape,
  messages: z.array(Message).default([]),
  currentTurn: z.looseObject({ turnId: z.string(), state: z.string() }).nullish(),
})
export type Session = z.output<typeof Session>

export const Balance = z.looseObject({
  availableBalance: Micros,
  walletAddress: z.string().optional(),
  depositAddress: z.string().nullish(),
  reserved: Micros.optional(),
  unsettledSpend: Micros.optional(),
  pendingWithdrawals: Micros.optional(),
})
export type Balance = z.output<typeof Balance>

export const Transaction = z.looseObject({
  id: z.union([z.string(), z.number()]),
  type: z.string(),
  amount: Micros,
  agentId: z.string().nullish(),
  timestamp: z.union([z.string(), z.number()]).nullish(),
  createdAt: Instant,
  status: z.string().nullish(),
  balance: Micros.nullish(),
})
export type Transaction = z.output<typeof Transaction>
export const Budget = z.looseObject({
  subject: z.looseObject({ kind: z.string(), id: z.string() }),
  period: z.string(),
  limitMicroUsd: z.string(),
  spentMicroUsd: z.string(),
  reservedMicroUsd: z.string(),
  resetsAt: z.string().nullable(),
})
export type Budget = z.output<typeof Budget>
export const BudgetList = z.looseObject({ budgets: z.array(Budget) })

export const RuntimeScope = z.looseObject({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  budgetMicrousd: z.string().nullable(),
  spentMicrousd: z.string(),
  enabledServerIds: z.array(z.string()),
})
export type RuntimeScope = z.output<typeof RuntimeScope>
export const RuntimeScopeList = z.looseObject({ scopes: z.array(RuntimeScope) })

export const Settings = z.record(z.string(), z.unknown())
export type Settings = z.output<typeof Settings>

export const TransactionPage = z.looseObject({
  transactions: z.array(Transaction),
  total: z.number(),
  hasMore: z.boolean(),
})
export type TransactionPage = z.output<typeof TransactionPage>

export const Faucet = z.looseObject({ amount: Micros.optional(), availableBalance: Micros.optional() })
export type Faucet = z.output<typeof Faucet>

export const Revoked = z.looseObject({ revoked: z.string(), epoch: z.number() })
export type Revoked = z.output<typeof Revoked>
export const Link = z.looseObject({ url: z.string(), expiresIn: z.number() })
export type Link = z.output<typeof Link>
export const Rendered = z.looseObject({ message: z.string().min(1) })
export const Challenge = z.looseObject({ nonce: z.string().min(1), message: z.string().min(1) })

const Cursor = z.string().nullable()
export const AuditPage = z.looseObject({
  records: z.array(z.looseObject({ tenant: z.string(), seq: z.number() })),
  cursor: Cursor,
})
export type AuditPage = z.output<typeof AuditPage>
export const AuditVerdict = z.union([
  z.looseObject({ ok: z.literal(true), checkedSeq: z.number(), cursor: Cursor }),
  z.looseObject({ ok: z.literal(false), firstBrokenSeq: z.number(), reason: z.string() }),
])
export type AuditVerdict = z.output<typeof AuditVerdict>
export const AuditPayload = z.looseObject({
  id: z.string(),
  input: z.string().nullable(),
  output: z.string().nullable(),
  matches: z.boolean(),
})
export type AuditPayload = z.output<typeof AuditPayload>
export const AuditKeys = z.looseObject({ keys: z.array(z.looseObject({ kid: z.string() })) })
export type AuditKeys = z.output<typeof AuditKeys>

/**
 * Micro-USD as people read it; text that is no amount comes back as it is.
 *
 * @example
 * formatMicros('2800') // '$0.0028'
 */
export function formatMicros(text: string): string {
  const amount = parseMicros(text.replace(/^-/, ''))
  if (amount === undefined) return text
  return `${text.startsWith('-') ? '-' : ''}${formatUsd(amount)}`
}
