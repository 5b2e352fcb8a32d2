// Raw payloads: off unless an installation wants them. Then what went into an effect and came out of it is sealed beside
// its record and kept as long as the record's class says. The record holds the hashes, and stays when they are gone.
import { evidenceText, sha256Hex } from '../crypto/evidence.ts'
import type { Seal } from '../crypto/seal.ts'
import { insertPayload, readPayload } from '../db/audit-payload.ts'
import type { Pool, Queryable } from '../db/pool.ts'
import { GatewayError, toError } from '../domain/errors.ts'
import { auditPayloadBytesMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import type { RetentionClass } from '../domain/retention.ts'
import { AuditPayload, ChainPayload } from '../schemas/audit-payload.ts'
import type { Logger } from '../telemetry/log.ts'
import { auditScopeOf } from './audit-access.ts'
import type { Call, Effect, Pipeline } from './call.ts'

export type PayloadDeps = {
  readonly pool: Pool
  readonly seal: Pick<Seal, 'seal' | 'open'>
  readonly log: Pick<Logger, 'warn'>
}

/** The same pipeline, with payloads kept: in the transaction that ends the effect, or on their own when it failed. */
export function keepPayloads(pipeline: Pipeline, deps: PayloadDeps): Pipeline {
  return {
    admit: pipeline.admit,
    run: (call, effect) => pipeline.run(call, kept(deps, call, effect)),
  }
}

function kept<T>(deps: PayloadDeps, call: Call, effect: Effect<T>): Effect<T> {
  return async (context) => {
    const { attemptId: id, retention } = context
    const store = (queryable: Queryable, output: unknown) => keep(deps, queryable, { id, call, output, retention })
    const result = await effect(context).catch(async (thrown: unknown) => {
      // The effect's own error is what its caller must see.
      await store(deps.pool, undefined).catch((error: unknown) => {
        deps.log.warn({ err: toError(error), record: id }, 'a payload was not kept')
      })
      throw thrown
    })
    return {
      ...result,
      async record(client) {
        await result.record?.(client)
        await store(client, result.output)
      },
    }
  }
}

type Keeping = {
  readonly id: string
  readonly call: Call
  readonly output: unknown
  readonly retention: RetentionClass
}

async function keep(
  { seal, log }: PayloadDeps,
  queryable: Queryable,
  { id, call, output, retention }: Keeping,
): Promise<void> {
  const textOf = (value: unknown) => (value === undefined ? null : evidenceText(value))
  const clear: AuditPayload = { input: textOf(call.facts.arguments), output: textOf(output) }
  const bytes = Buffer.from(JSON.stringify(clear), 'utf8')
  if (bytes.length > auditPayloadBytesMax) {
    log.warn({ record: id, bytes: bytes.length }, 'a payload was too large to be kept')
    return
  }
  const { tenant } = call.principal
  const sealed = seal.seal(purposeOf(id), bytes)
  await insertPayload(queryable, { id, tenant, retention, sealed, at: new Date() })
}

const purposeOf = (id: string) => `audit-payload/${id}`

/** What is kept of a record's payload, held against its hashes. Throws `not-found` where nothing is, or for others. */
export async function payloadFor(
  { pool, seal }: Pick<PayloadDeps, 'pool' | 'seal'>,
  principal: Principal,
  id: string,
): Promise<{ id: string; input: string | null; output: string | null; matches: boolean }> {
  const stored = await readPayload(pool, id)
  if (!stored || !maySee(principal, stored)) throw new GatewayError('not-found', 'No payload of this record is kept.')
  const { input, output } = AuditPayload.parse(JSON.parse(seal.open(purposeOf(id), stored.sealed).toString('utf8')))
  const record = ChainPayload.safeParse(JSON.parse(stored.body)).data
  const hashOf = (text: string | null) => (text === null ? null : sha256Hex(text))
  const matches = record?.input_sha256 === hashOf(input) && record.output_sha256 === hashOf(output)
  return { id, input, output, matches }
}

function maySee(principal: Principal, { tenant, walletId }: { tenant: string; walletId: bigint | null }): boolean {
  const scope = auditScopeOf(principal)
  if (scope.kind === 'all') return true
  return tenant === scope.tenant && (scope.kind === 'tenant' || walletId === scope.walletId)
}
