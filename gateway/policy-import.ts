// Files of policies into the table. Under one lock: a changed file is a new version of its id, a removed one retires it, a
// bad one leaves its old version active and says why. Everything that one look found is one epoch.
import {
  activatePolicies,
  addPolicyVersion,
  lockPolicies,
  readActivePolicies,
  type PolicyChange,
  type PolicyRow,
} from '../db/policy.ts'
import type { Client, Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { policiesActiveMax } from '../domain/limits.ts'
import { sha256Hex } from '../crypto/evidence.ts'
import { housePrincipal, recordAct } from './house-record.ts'
import type { CompilePolicy } from './policies.ts'

export type PolicyFile = { readonly name: string; readonly text: string }

export type Imported = {
  /** Null when nothing changed. */
  readonly epoch: number | null
  readonly changes: readonly PolicyChange[]
  /** Every fault of the files that were not taken. */
  readonly faults: readonly string[]
  /** Files that were not taken and have no older version: nothing of them decides. */
  readonly missing: readonly string[]
}

export type ImportDeps = { readonly pool: Pool; readonly compile: CompilePolicy }

const importer = 'policy-files'

/** Brings the table to what the files say. `read` is called under the lock, so that the last to read is the last to write. */
export async function importPolicies(
  { pool, compile }: ImportDeps,
  read: () => Promise<readonly PolicyFile[]>,
): Promise<Imported> {
  return inTransaction(pool, async (client) => {
    await lockPolicies(client)
    const { policies } = await readActivePolicies(client)
    const { puts, retired, faults, missing } = planImport({ files: await read(), active: policies, compile })
    const changes: PolicyChange[] = retired.map((policyId) => ({ policyId, version: null }))
    for (const put of puts) changes.push(await add(client, put))
    if (changes.length === 0) return { epoch: null, changes, faults, missing }
    const epoch = await activatePolicies(client, changes, importer)
    for (const change of changes) await record(client, change, epoch)
    return { epoch, changes, faults, missing }
  })
}

type Put = PolicyFile & { readonly policyId: string; readonly declared: number }

async function add(client: Client, { policyId, name, text, declared }: Put): Promise<PolicyChange> {
  const sha256 = sha256Hex(text)
  const put = { policyId, source: 'file', name, text, sha256, declared, by: importer } as const
  return { policyId, version: await addPolicyVersion(client, put) }
}

type Plan = {
  readonly puts: readonly Put[]
  readonly retired: readonly string[]
  readonly faults: readonly string[]
  readonly missing: readonly string[]
}

/** What is to be done. Ids are taken by files that are as they were or unusable first, then in the order of names. */
function planImport({
  files,
  active,
  compile,
}: {
  readonly files: readonly PolicyFile[]
  readonly active: readonly PolicyRow[]
  readonly compile: CompilePolicy
}): Plan {
  const ofFiles = new Map(active.flatMap((row) => (row.source === 'file' ? [[row.name, row] as const] : [])))
  const taken = new Map<string, string>(
    active.flatMap((row) => (row.source === 'api' ? [[row.policyId, 'the API'] as const] : [])),
  )
  const faults: string[] = []
  const missing: string[] = []
  const good: Put[] = []
  const keep = (name: string, why: readonly string[]) => {
    faults.push(...why)
    const old = ofFiles.get(name)
    if (old) taken.set(old.policyId, name)
    else missing.push(name)
  }
  for (const { name, text } of files.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const old = ofFiles.get(name)
    const made = old?.sha256 === sha256Hex(text) ? undefined : compile(name, text)
    if (old && made === undefined) taken.set(old.policyId, name)
    else if (made && 'faults' in made) keep(name, made.faults)
    else if (made) good.push({ name, text, policyId: made.policy.policyId, declared: made.policy.version })
  }
  const puts: Put[] = []
  for (const put of good) {
    const holder = taken.get(put.policyId)
    if (holder !== undefined) keep(put.name, [`${put.name}:1: policy: ${put.policyId} is taken by ${holder}`])
    else if (taken.size >= policiesActiveMax) keep(put.name, [`${put.name}:1: more than ${policiesActiveMax} policies`])
    else {
      taken.set(put.policyId, put.name)
      puts.push(put)
    }
  }
  const retired = [...ofFiles.values()].map(({ policyId }) => policyId).filter((id) => !taken.has(id))
  return { puts, retired, faults, missing }
}

// Nobody asked for it: the files did, and their change is on record like any other.
async function record(client: Client, { policyId, version }: PolicyChange, epoch: number): Promise<void> {
  const reason = version === null ? 'The file of this policy is gone.' : 'The file of this policy changed.'
  await recordAct(client, {
    principal: housePrincipal(importer),
    action: 'policy.change',
    resource: { kind: 'policy', name: policyId },
    facts: { policyId, version, epoch },
    origin: 'file',
    effectKey: `policy:${policyId}:${epoch}`,
    decision: { kind: 'allow', policyId, version: version ?? 0, epoch, ruleIds: [], obligations: [], reason },
  })
}
