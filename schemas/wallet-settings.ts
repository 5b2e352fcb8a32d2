// Settings of a wallet on the wire (contracts 6). A change names one or more keys; an unknown key is refused.
import { z } from 'zod'
import { conversationRetentionDaysMax, settingCharsMax, settingItemsMax } from '../domain/limits.ts'
import { LimitOrder } from './budget.ts'
import { PlainText } from './common.ts'
import { engines } from './session.ts'

const Word = PlainText.min(1).max(settingCharsMax)
const Words = z.array(Word).max(settingItemsMax)

/** Providers whose keys a wallet may keep. */
const providers = [
  'anthropic',
  'minimax',
  'openrouter',
  'zai',
  'deepseek',
  'gemini',
  'openai',
  'kimi',
  'opencode',
] as const

const members = {
  plan: PlainText.max(settingCharsMax).regex(/^(free|byok|[a-z0-9-]+_byok)$/, 'must be free, byok or <provider>_byok'),
  modelProvider: Word,
  defaultModel: Word,
  defaultVoiceModel: Word,
  persistConversations: z.boolean(),
  conversationRetentionDays: z.number().int().min(1).max(conversationRetentionDaysMax),
  autoImprove: z.boolean(),
  agentAutoImprove: z
    .record(Word, z.boolean())
    .refine((value) => Object.keys(value).length <= settingItemsMax, `must name at most ${settingItemsMax} agents`),
  postToKnowledgeBook: z.boolean(),
  selfImprovementSchedule: Word,
  improveSchedule: Word,
  selfImprovementScope: Word,
  anthropicAuthMode: Word,
  codexAuthMode: Word,
  teamEngine: Word,
  executionEngine: z.enum(engines),
  enabledProviders: Words,
  onboardingComplete: z.boolean(),
  favoriteAgentIds: Words,
  groupConversations: z.boolean(),
  kfdbTenantId: Word,
  /** Ours: micro-USD that a reservation must leave. */
  minimumBalanceMicroUsd: LimitOrder,
}

const nullable = Object.fromEntries(Object.entries(members).map(([name, schema]) => [name, schema.nullable()]))

/** Null unsets a key. */
export const SettingsChange = z
  .strictObject(nullable)
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'must name one or more settings')
export type SettingsChange = z.output<typeof SettingsChange>

const configured = Object.fromEntries(providers.map((provider) => [`${provider}ApiKeyConfigured`, z.boolean()]))

/** Every setting, null where nothing is set, and which provider keys there are. */
export const WalletSettings = z.object({ ...nullable, ...configured })
export type WalletSettings = Readonly<Record<string, unknown>>

export const settingNames = Object.keys(members)
export const configuredNames = Object.keys(configured)
