// The policy of the clone as a set that never changes, for suites that are about something else.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compilePolicy } from '../../config/policy/compile.ts'
import { sha256Hex } from '../../crypto/evidence.ts'
import { activatePolicies, addPolicyVersion } from '../../db/policy.ts'
import type { Pool } from '../../db/pool.ts'
import { inTransaction } from '../../db/transaction.ts'
import { policySet, type PolicySet } from '../../domain/policy/combine.ts'
import { compileCondition } from '../../gateway/expression/compile.ts'
import { root } from '../../workers/files.ts'

/** Makes it the only active one, without a word in the audit. */
export async function activateDefaultPolicy(pool: Pool): Promise<void> {
  const [policyId, name] = ['default', 'policy/default.yaml']
  const text = await readFile(join(root, name), 'utf8')
  await inTransaction(pool, async (client) => {
    const order = { policyId, source: 'file', name, text, sha256: sha256Hex(text), declared: 1, by: 'test' } as const
    return activatePolicies(client, [{ policyId, version: await addPolicyVersion(client, order) }], 'test')
  })
}

export async function readDefaultPolicy(): Promise<PolicySet> {
  const name = 'policy/default.yaml'
  const { policyId, version, rules } = compilePolicy(name, await readFile(join(root, name), 'utf8'), compileCondition)
  return policySet({ policyId, version, epoch: 1, rules })
}
