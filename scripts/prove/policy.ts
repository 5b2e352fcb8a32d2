// Policy in long form: 10^5 generated decisions against a second reading of the laws, and
// policies that flip for a minute while two processes decide 1,000 times a second.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../../db/migrate.ts'
import { decide, policySet } from '../../domain/policy/combine.ts'
import { assertPolicyProperties } from '../../test/support/policy-properties.ts'
import { reloadUnderLoad } from '../../test/support/policy-reload.ts'
import { removePostgresHome } from '../../workers/local/postgres-files.ts'
import { startPostgres } from '../../workers/local/postgres.ts'
import type { Proof } from './proof.ts'

const cases = 300_000 // a third of them against the reference, the others on added denies and on the order of rules
const seconds = 60

export const prove: Proof = async ({ seed, print, rounds = 1 }) => {
  let holds = true
  for (let round = 0; round < rounds; round += 1) {
    const startedAt = performance.now()
    const broken = brokenProperty(seed + round)
    if (broken !== undefined) holds = false
    const took = ((performance.now() - startedAt) / 1_000).toFixed(0)
    print(`seed ${seed + round}: ${cases} decisions: ${broken ?? 'hold'}, ${took} s`)
    const { broken: faults, ...seen } = await reload()
    if (faults.length > 0) holds = false
    print(`reload: ${faults.length === 0 ? 'holds' : `BROKEN\n  ${faults.join('\n  ')}`} ${JSON.stringify(seen)}`)
  }
  return holds
}

function brokenProperty(seed: number): string | undefined {
  try {
    assertPolicyProperties({ policySet, decide }, { seed, cases })
    return undefined
  } catch (error) {
    return `BROKEN ${String(error)}`
  }
}

async function reload(): ReturnType<typeof reloadUnderLoad> {
  const stateDir = await mkdtemp(join(tmpdir(), 'gatehouse-prove-'))
  const server = await startPostgres({ stateDir })
  try {
    await migrate(server.url)
    return await reloadUnderLoad({ url: server.url, seconds, perSecond: 1_000, flipMs: 150 })
  } finally {
    await server.stop()
    await removePostgresHome(stateDir)
    await rm(stateDir, { recursive: true, force: true })
  }
}
