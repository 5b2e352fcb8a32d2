// The operator's desk of policies: what is active, what was, and changes of what no file says. A change passes the pipeline,
// and its record, its version and its epoch are one transaction.
import { sha256Hex } from '../crypto/evidence.ts'
import {
  activatePolicies,
  addPolicyVersion,
  listPolicyVersions,
  lockPolicies,
  readActivePolicies,
  readPolicyVersion,
  type ActivePolicies,
  type PolicyRow,
} from '../db/policy.ts'
import type { Client, Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { GatewayError } from '../domain/errors.ts'
import { policiesActiveMax, policyFaultsMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import type { PolicyChanged, PolicyDetail, PolicyVersionPage, ValidateAnswer } from '../schemas/policy.ts'
import { errorOf } from './answer.ts'
import type { Pipeline } from './call.ts'
import type { CompilePolicy, LivePolicies } from './policies.ts'

export type PolicyDeskDeps = {
  readonly pool: Pool
  readonly compile: CompilePolicy
  readonly policy: Pick<LivePolicies, 'current' | 'refresh'>
  readonly pipeline: Pick<Pipeline, 'admit'>
}

/** Who changes, and the request that it came with. */
export type Changer = { readonly principal: Principal; readonly requestId: string }

const unknown = () => new GatewayError('not-found', 'There is no such policy.')

export async function listPolicies({ pool }: Pick<PolicyDeskDeps, 'pool'>) {
  const { epoch, policies } = await readActivePolicies(pool)
  return { epoch, policies: policies.map(({ text: _text, ...facts }) => facts) }
}

/** The active version of an id, or the one that is named. Throws `not-found`. */
export async function showPolicy(
  { pool }: Pick<PolicyDeskDeps, 'pool'>,
  { id, version }: { readonly id: string; readonly version?: number },
): Promise<PolicyDetail> {
  const active = async () => (await readActivePolicies(pool)).policies.find(({ policyId }) => policyId === id)
  const found = await (version === undefined ? active() : readPolicyVersion(pool, { policyId: id, version }))
  if (!found) throw unknown()
  return found
}

const versionMax = 2_147_483_647 // of the column

/** Versions of an id, latest first. An id that never was has none: `not-found`. */
export async function policyVersions(
  { pool }: Pick<PolicyDeskDeps, 'pool'>,
  { id, limit, cursor }: { readonly id: string; readonly limit: number; readonly cursor: string | undefined },
): Promise<PolicyVersionPage> {
  const before = cursor === undefined ? versionMax : Number(cursor)
  const rows = await listPolicyVersions(pool, { policyId: id, before, limit: limit + 1 })
  if (rows.length === 0 && cursor === undefined) throw unknown()
  const page = rows.slice(0, limit)
  return {
    versions: page.map((row) => ({
      ...row,
      createdAt: row.createdAt.toISOString(),
      retiredAt: row.retiredAt?.toISOString() ?? null,
    })),
    cursor: rows.length > limit ? String(page.at(-1)?.version) : null,
  }
}

/** Says whether a text is usable; nothing is kept. */
export function validatePolicy(
  { compile }: Pick<PolicyDeskDeps, 'compile'>,
  { name, text }: { readonly name: string; readonly text: string },
): ValidateAnswer {
  const made = compile(name, text)
  if ('faults' in made) return { valid: false, faults: made.faults.slice(0, policyFaultsMax) }
  const { policyId, version, rules, notEnforced } = made.policy
  return { valid: true, policyId, version, rules: rules.length, notEnforced: [...notEnforced] }
}

/** A text as the next version of its id, active from then on. The text that is active already changes nothing. */
export async function putPolicy(
  deps: PolicyDeskDeps,
  changer: Changer,
  { id, text }: { readonly id: string; readonly text: string },
): Promise<PolicyChanged> {
  const name = `${id}.yaml`
  const declared = usable(deps.compile, { id, name, text })
  const sha256 = sha256Hex(text)
  return change(deps, changer, {
    ...{ id, facts: { change: 'put', sha256 } },
    async make(client, { policies, epoch }) {
      const active = policies.find(({ policyId }) => policyId === id)
      if (active?.sha256 === sha256) return { policyId: id, version: active.version, epoch }
      if (!active && policies.length >= policiesActiveMax)
        throw new GatewayError('policy-limit', 'As many policies are active as may be.', {
          details: { policiesMax: policiesActiveMax },
        })
      const by = changer.principal.subject.id
      const order = { policyId: id, source: 'api', name, text, sha256, declared, by } as const
      return activate(client, { policyId: id, version: await addPolicyVersion(client, order) }, by)
    },
  })
}

/** An older version of an id becomes active again. Throws `not-found` for one that never was. */
export async function rollBackPolicy(
  deps: PolicyDeskDeps,
  changer: Changer,
  { id, version }: { readonly id: string; readonly version: number },
): Promise<PolicyChanged> {
  return change(deps, changer, {
    ...{ id, facts: { change: 'rollback', version } },
    async make(client, { policies, epoch }) {
      const row = await readPolicyVersion(client, { policyId: id, version })
      if (!row) throw unknown()
      refuseFile(row)
      usable(deps.compile, { id, name: row.name, text: row.text })
      const isActive = policies.some((each) => each.policyId === id && each.version === version)
      if (isActive) return { policyId: id, version, epoch }
      return activate(client, { policyId: id, version }, changer.principal.subject.id)
    },
  })
}

/** None of the id is active any more; its versions stay. */
export async function retirePolicy(deps: PolicyDeskDeps, changer: Changer, id: string): Promise<PolicyChanged> {
  return change(deps, changer, {
    ...{ id, facts: { change: 'retire' } },
    async make(client, { policies }) {
      if (!policies.some(({ policyId }) => policyId === id)) throw unknown()
      return activate(client, { policyId: id, version: null }, changer.principal.subject.id)
    },
  })
}

// Number that the author gave it. Throws `policy-invalid` with every fault.
function usable(compile: CompilePolicy, { id, name, text }: { id: string; name: string; text: string }): number {
  const made = compile(name, text)
  const faults =
    'faults' in made
      ? made.faults
      : made.policy.policyId === id
        ? []
        : [`${name}:1: policy: the text calls itself ${made.policy.policyId}`]
  if (!('faults' in made) && faults.length === 0) return made.policy.version
  throw new GatewayError('policy-invalid', 'The policy is not usable.', {
    details: { faults: faults.slice(0, policyFaultsMax).join('\n') },
  })
}

function refuseFile({ source, name }: PolicyRow): void {
  if (source === 'file')
    throw new GatewayError('policy-from-file', `This policy is kept in a file: ${name}.`, { details: { file: name } })
}

type Order = {
  readonly id: string
  /** What is recorded of the change. */
  readonly facts: Readonly<Record<string, string | number>>
  readonly make: (client: Client, active: ActivePolicies) => Promise<PolicyChanged>
}

async function change(
  { pool, pipeline, policy }: PolicyDeskDeps,
  { principal, requestId }: Changer,
  { id, facts, make }: Order,
): Promise<PolicyChanged> {
  const call = {
    principal,
    session: null,
    action: 'policy.change',
    origin: 'http',
    attempt: 1,
    resource: { kind: 'policy', name: id, effectClass: 'write', owner: null },
    facts: { phase: 'call', arguments: { policyId: id, ...facts } },
    effectKey: `policy:${requestId}`,
  } as const
  const answer = await pipeline.admit(call, async ({ record, meter }) => {
    await meter()
    return inTransaction(pool, async (client) => {
      await lockPolicies(client)
      const active = await readActivePolicies(client)
      active.policies.filter(({ policyId }) => policyId === id).forEach(refuseFile)
      const changed = await make(client, active)
      await record(client)
      return changed
    })
  })
  if (answer.kind !== 'done') throw errorOf(answer)
  await policy.refresh() // who asked the replica that made it finds it in force
  return answer.value
}

async function activate(
  client: Client,
  made: { readonly policyId: string; readonly version: number | null },
  by: string,
): Promise<PolicyChanged> {
  return { ...made, epoch: await activatePolicies(client, [made], by) }
}
