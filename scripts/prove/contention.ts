// Money under contention: 200 requests, one session each, with money for 50. Exactly 50 reach the model; the others get
// 402 before it. Each round starts from a new wallet.
import { contend } from '../../test/support/contention.ts'
import { startInstallation } from '../../test/support/installation.ts'
import type { Proof } from './proof.ts'

const requests = 200
const affordable = 50

export const prove: Proof = async ({ print, rounds = 1 }) => {
  await using house = await startInstallation({ args: ['--api', '2'] })
  let broken = 0
  for (let round = 1; round <= rounds; round += 1) {
    const seen = await contend(await house.run(), { requests, affordable })
    const holds =
      seen.answered === affordable &&
      seen.refused === requests - affordable &&
      seen.reached === affordable &&
      seen.left === 0n &&
      seen.faults === 0
    if (!holds) broken += 1
    print(
      `round ${round}: answered ${seen.answered}, refused ${seen.refused}, reached the model ${seen.reached}, left ${seen.left} micro-USD, ledger faults ${seen.faults}`,
    )
  }
  return broken === 0
}
