// A wallet's settings as its owner keeps them. What nothing obeys yet is kept all the same, as clients expect it.
import type { PriceTable, resolveModel } from '../config/prices.ts'
import type { Pool } from '../db/pool.ts'
import { mergeSettings, readSettings } from '../db/wallet-settings.ts'
import { GatewayError } from '../domain/errors.ts'
import type { Principal } from '../domain/principal.ts'
import { configuredNames, settingNames, type SettingsChange, type WalletSettings } from '../schemas/wallet-settings.ts'

export type SettingsDeps = {
  readonly pool: Pool
  readonly prices: PriceTable
  readonly resolveModel: typeof resolveModel
}

/** What holds while nothing was set; every other setting is null then. */
const defaults: WalletSettings = { persistConversations: true, autoImprove: false, onboardingComplete: false }

export async function settingsOf({ pool }: SettingsDeps, { walletId }: Principal): Promise<WalletSettings> {
  return shown(await readSettings(pool, walletId))
}

/** Sets the given keys. Throws `model-unknown`, and `request-invalid` for an engine that is not enabled. */
export async function changeSettings(
  deps: SettingsDeps,
  { walletId }: Principal,
  change: SettingsChange,
): Promise<WalletSettings> {
  const { selfImprovementSchedule, improveSchedule, ...rest } = change as Readonly<Record<string, unknown>>
  if (
    selfImprovementSchedule !== undefined &&
    improveSchedule !== undefined &&
    selfImprovementSchedule !== improveSchedule
  )
    throw invalid('improveSchedule', 'The two names of the schedule must say the same.')
  const { defaultModel, executionEngine } = rest
  if (typeof defaultModel === 'string' && deps.resolveModel(deps.prices, defaultModel) === undefined)
    throw new GatewayError('model-unknown', 'The model is not known here.', { details: { model: defaultModel } })
  if (typeof executionEngine === 'string' && executionEngine !== 'claude')
    throw invalid('executionEngine', `The engine ${executionEngine} is not enabled here.`)
  const schedule = selfImprovementSchedule === undefined ? improveSchedule : selfImprovementSchedule
  const stored = schedule === undefined ? rest : { ...rest, selfImprovementSchedule: schedule }
  return shown(await mergeSettings(deps.pool, walletId, stored))
}

function shown(stored: WalletSettings): WalletSettings {
  const settings = Object.fromEntries(settingNames.map((name) => [name, stored[name] ?? defaults[name] ?? null]))
  // No wallet keeps a provider key here yet.
  const keys = Object.fromEntries(configuredNames.map((name) => [name, false]))
  return { ...settings, improveSchedule: settings['selfImprovementSchedule'] ?? null, ...keys }
}

const invalid = (field: string, text: string) => new GatewayError('request-invalid', text, { details: { field } })
