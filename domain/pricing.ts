// What a model call or a tool call costs. Exact integers of pico-USD; rounded once per step difference so that the
// postings of a turn sum to its cost rounded once. Prices are dated rows with exact model ids: no prefix matching.
import { ceilToMicros, micros, picos, roundHalfUp, type Micros, type Picos } from './money.ts'
import { invariant } from './errors.ts'

/** Pico-USD per token (1 USD per million tokens = 1,000,000 pico-USD per token). */
export type ModelPrice = {
  readonly model: string
  /** Date from which the row holds, ISO day. */
  readonly effectiveFrom: string
  /** The row holds for prompts up to this many tokens, cache included; null for all. */
  readonly promptTokensMax: number | null
  readonly input: bigint
  readonly output: bigint
  readonly cacheRead: bigint
  readonly cacheWrite5m: bigint
  readonly cacheWrite1h: bigint
}

export type TokenUsage = {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cacheReadTokens: number
  readonly cacheWrite5mTokens: number
  readonly cacheWrite1hTokens: number
}

/** Platform terms of a plan. `managed`: our provider key, base × factor. `byok`: the base is billed by the provider. */
export type PlanTerms = { readonly id: string; readonly percentOfBase: bigint; readonly picosPerToolCall: bigint }

export const plans = {
  managed: { id: 'managed@2026-11-01', percentOfBase: 115n, picosPerToolCall: 500_000_000n },
  byok: { id: 'byok@2026-11-01', percentOfBase: 10n, picosPerToolCall: 500_000_000n },
} as const satisfies Record<string, PlanTerms>

export const noUsage: TokenUsage = {
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWrite5mTokens: 0,
  cacheWrite1hTokens: 0,
}

const promptTokens = (usage: TokenUsage) =>
  usage.inputTokens + usage.cacheReadTokens + usage.cacheWrite5mTokens + usage.cacheWrite1hTokens

/** The rows of a model that hold on a day; several when the price is tiered by prompt size. */
export function rowsOf(prices: readonly ModelPrice[], model: string, day: string): ModelPrice[] {
  const rows = prices.filter((price) => price.model === model && price.effectiveFrom <= day)
  const newest = rows
    .map((row) => row.effectiveFrom)
    .toSorted()
    .at(-1)
  return rows
    .filter((row) => row.effectiveFrom === newest)
    .toSorted((a, b) => (a.promptTokensMax ?? Infinity) - (b.promptTokensMax ?? Infinity))
}

function rowFor(rows: readonly ModelPrice[], tokens: number): ModelPrice {
  const row = rows.find((candidate) => candidate.promptTokensMax === null || tokens <= candidate.promptTokensMax)
  invariant(row, 'A priced model has a row for every prompt size.')
  return row
}

/** Base cost of one model call, before the plan's terms. */
export function baseCost(rows: readonly ModelPrice[], usage: TokenUsage): Picos {
  const row = rowFor(rows, promptTokens(usage))
  return picos(
    BigInt(usage.inputTokens) * row.input +
      BigInt(usage.outputTokens) * row.output +
      BigInt(usage.cacheReadTokens) * row.cacheRead +
      BigInt(usage.cacheWrite5mTokens) * row.cacheWrite5m +
      BigInt(usage.cacheWrite1hTokens) * row.cacheWrite1h,
  )
}

/** What the wallet pays for a base cost under a plan. Exact: bases are multiples of 100 pico-USD by construction. */
export function planCost(plan: PlanTerms, base: Picos, toolCalls: number): Picos {
  return picos((base * plan.percentOfBase) / 100n + plan.picosPerToolCall * BigInt(toolCalls))
}

/** Upper bound of a model call: dearest input rate × a token bound + output rate × the most it may write. */
export function modelReservation(
  rows: readonly ModelPrice[],
  plan: PlanTerms,
  bound: { readonly inputTokens: number; readonly outputTokens: number },
): Micros {
  const dearest = (pick: (row: ModelPrice) => bigint) => rows.map(pick).reduce((a, b) => (a > b ? a : b), 0n)
  invariant(rows.length > 0, 'Only a priced model is reserved for.')
  const input = dearest((row) =>
    [row.input, row.cacheRead, row.cacheWrite5m, row.cacheWrite1h].reduce((a, b) => (a > b ? a : b)),
  )
  const base = BigInt(bound.inputTokens) * input + BigInt(bound.outputTokens) * dearest((row) => row.output)
  return ceilToMicros(planCost(plan, picos(base), 0))
}

/** Reservation and price of one tool call. */
export function toolReservation(plan: PlanTerms): Micros {
  return ceilToMicros(plan.picosPerToolCall as Picos)
}

/** What a step posts: the growth of the rounded cumulative cost, so that a turn's postings sum to its cost rounded once. */
export function stepPosting(cumulativeBefore: Picos, cumulativeAfter: Picos): Micros {
  return micros(roundHalfUp(cumulativeAfter) - roundHalfUp(cumulativeBefore))
}

/** Tokens of question and answer together that a model takes, by its exact id; `default` for the others. */
export type ContextTokens = Readonly<Record<string, number>> & { readonly default: number }

/** The window of a model. */
export function contextTokensOf(known: ContextTokens, model: string): number {
  return (Object.hasOwn(known, model) ? known[model] : undefined) ?? known.default
}
