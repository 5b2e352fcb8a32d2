// The policy of the clone as a set that never changes, for suites that are about something else.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compilePolicy } from '../../config/policy/compile.ts'
import { policySet, type PolicySet } from '../../domain/policy/combine.ts'
import { compileCondition } from '../../gateway/expression/compile.ts'
import { root } from '../../workers/files.ts'

export async function readDefaultPolicy(): Promise<PolicySet> {
  const name = 'policy/default.yaml'
  const { policyId, version, rules } = compilePolicy(name, await readFile(join(root, name), 'utf8'), compileCondition)
  return policySet({ policyId, version, epoch: 1, rules })
}
