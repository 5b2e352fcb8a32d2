// The price table: dated rows with exact model ids, USD per million tokens as decimal strings.
import { parse } from 'yaml'
import { z } from 'zod'
import { micros, type Micros } from '../domain/money.ts'
import { rowsOf, type ContextTokens, type ModelPrice } from '../domain/pricing.ts'

// In millionths: a rate in USD per million tokens becomes pico-USD per token, an amount in USD becomes micro-USD.
const millionths = (decimals: number) =>
  z
    .string()
    .regex(new RegExp(`^\\d{1,6}(\\.\\d{1,${decimals}})?$`), `must be a decimal string of up to ${decimals} decimals`)
    .transform((text) => {
      const [whole = '0', fraction = ''] = text.split('.')
      return BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, '0'))
    })
const Rate = millionths(4) // whole hundreds: what a plan takes of them, in percent, is exact
const Amount = millionths(6).transform((value) => micros(value))

const Row = z.strictObject({
  models: z.array(z.string().min(1)).min(1),
  from: z.iso.date(),
  promptTokensMax: z.number().int().positive().nullable().default(null),
  input: Rate,
  output: Rate,
  cacheRead: Rate,
  cacheWrite5m: Rate,
  cacheWrite1h: Rate,
})

const Tokens = z.number().int().positive()

const PriceFile = z.strictObject({
  source: z.string(),
  contextTokens: z.object({ default: Tokens }).catchall(Tokens),
  minimumBalance: Amount,
  aliases: z.record(z.string(), z.string()),
  rows: z.array(Row).min(1),
})

export type PriceTable = {
  readonly contextTokens: ContextTokens
  readonly aliases: Readonly<Record<string, string>>
  readonly rows: readonly ModelPrice[]
  /** What must be left of a wallet's balance after a reservation, where its owner has set nothing else. */
  readonly minimumBalanceMicros: Micros
}

/** Parses the table. Throws an Error that names every fault; an alias must lead to a priced model. */
export function parsePrices(text: string): PriceTable {
  const parsed = PriceFile.safeParse(parse(text))
  if (!parsed.success) throw new Error(`prices: ${z.prettifyError(parsed.error)}`)
  const rows = parsed.data.rows.flatMap(({ models, from, ...rates }) =>
    models.map((model) => ({ model, effectiveFrom: from, ...rates })),
  )
  for (const [alias, model] of Object.entries(parsed.data.aliases)) {
    if (!rows.some((row) => row.model === model))
      throw new Error(`prices: the alias ${alias} leads to ${model}, which has no price.`)
  }
  refuseUnpricedPrompts(rows)
  for (const model of Object.keys(parsed.data.contextTokens)) {
    if (model !== 'default' && !rows.some((row) => row.model === model))
      throw new Error(`prices: contextTokens names ${model}, which has no price.`)
  }
  const { aliases, contextTokens, minimumBalance: minimumBalanceMicros } = parsed.data
  return { aliases, contextTokens, rows, minimumBalanceMicros }
}

// What a model has answered must have a price, however long its prompt was: one row of each day has no end.
function refuseUnpricedPrompts(rows: readonly ModelPrice[]): void {
  for (const { model, effectiveFrom } of rows) {
    const tiers = rowsOf(rows, model, effectiveFrom).map(({ promptTokensMax }) => promptTokensMax)
    if (new Set(tiers).size !== tiers.length || !tiers.includes(null))
      throw new Error(`prices: ${model} from ${effectiveFrom} needs one row for each length of prompt, the last open.`)
  }
}

/** The exact model id of a name, or undefined. */
export function resolveModel(table: PriceTable, name: string): string | undefined {
  const model = table.aliases[name] ?? name
  return table.rows.some((row) => row.model === model) ? model : undefined
}

/** The model of an installation without a provider key. */
const scriptedModel = 'scripted-1'

/**
 * What an installation can serve: with the scripted model every short name leads to it, so that a bill names who
 * answered; with a vendor's key there is no scripted model.
 */
export function offeredPrices(table: PriceTable, kind: 'scripted' | 'anthropic'): PriceTable {
  if (kind === 'anthropic') return { ...table, rows: table.rows.filter((row) => row.model !== scriptedModel) }
  return { ...table, aliases: Object.fromEntries(Object.keys(table.aliases).map((name) => [name, scriptedModel])) }
}
