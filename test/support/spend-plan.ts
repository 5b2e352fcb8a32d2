// What is spent, from a seed alone: every process that is given the same seed knows every spend, its ids and its end.
import { uuidV5 } from '../../crypto/uuid.ts'
import { random } from '../../scripts/prove/proof.ts'

export type Spend = {
  readonly index: number
  readonly wallet: number
  readonly micros: bigint
  readonly agent: string
  readonly session: string
  /** Index of the wallet's scope. */
  readonly scope: number
  readonly reflection: boolean
  /** Posted when a number; given back when null; left held when undefined. */
  readonly cost: bigint | null | undefined
  readonly holdId: string
  readonly endId: string
}

export const scopesPerWallet = 2

/** The spend with a number, of a plan over so many wallets. */
export function spendOf(plan: { readonly seed: number; readonly wallets: number }, index: number): Spend {
  const draw = random(Math.imul(plan.seed, 31) + index)
  const below = (bound: number) => Math.floor(draw() * bound)
  const micros = 1 + below(50)
  const end = draw()
  const named = (kind: string) => uuidV5(`${plan.seed}:${index}:${kind}`)
  return {
    index,
    wallet: below(plan.wallets),
    micros: BigInt(micros),
    agent: `agent-${below(3)}`,
    session: `session-${below(3)}`,
    scope: below(scopesPerWallet),
    reflection: below(4) === 0,
    cost: end < 0.7 ? BigInt(below(micros + 1)) : end < 0.9 ? null : undefined,
    holdId: named('hold'),
    endId: named('end'),
  }
}

/** The scope of a wallet. */
export const scopeOf = (seed: number, wallet: number, scope: number): string =>
  uuidV5(`${seed}:scope:${wallet}:${scope}`)
