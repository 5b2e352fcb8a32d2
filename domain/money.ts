// Money is an integer number of micro-USD (10^-6), prices are computed in pico-USD (10^-12) and rounded once, half up.
// Floats never touch an amount.
import { invariant } from './errors.ts'

declare const microsBrand: unique symbol
declare const picosBrand: unique symbol

/** Micro-USD. One unit of USDC on chain. */
export type Micros = bigint & { readonly [microsBrand]: true }
/** Pico-USD: exact intermediate of a price. */
export type Picos = bigint & { readonly [picosBrand]: true }

export const microsMax = 9_223_372_036_854_775_807n // int8 of the ledger
const picosPerMicro = 1_000_000n

/** Brands an integer as micro-USD. Throws InvariantError outside the ledger's range. */
export function micros(value: bigint): Micros {
  invariant(value >= -microsMax && value <= microsMax, 'An amount of money fits the ledger.')
  return value as Micros
}

export function picos(value: bigint): Picos {
  return value as Picos
}

/** Rounds half up, the only rounding of a charge. Negative amounts do not occur in prices. */
export function roundHalfUp(value: Picos): Micros {
  invariant(value >= 0n, 'A price is not negative.')
  return micros((value + picosPerMicro / 2n) / picosPerMicro)
}

/** Rounds up: what must be reserved so that the price can never exceed it. */
export function ceilToMicros(value: Picos): Micros {
  invariant(value >= 0n, 'A price is not negative.')
  return micros((value + picosPerMicro - 1n) / picosPerMicro)
}

/** Parses the decimal wire form of an amount: digits only, no sign, no leading zeros. */
export function parseMicros(text: string): Micros | undefined {
  if (!/^(0|[1-9]\d{0,18})$/.test(text)) return undefined
  const value = BigInt(text)
  return value > microsMax ? undefined : micros(value)
}

/** `2800n` → `"$0.0028"`: at least two decimals, at most six, for display only. */
export function formatUsd(amount: Micros): string {
  const negative = amount < 0n
  const absolute = negative ? 0n - amount : amount
  const fraction = (absolute % 1_000_000n)
    .toString()
    .padStart(6, '0')
    .replace(/0{1,4}$/, '')
  return `${negative ? '-' : ''}$${absolute / 1_000_000n}.${fraction}`
}
