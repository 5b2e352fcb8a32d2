// The pipeline on a real database: what it refuses, what it records, and that an attempt and a revocation are never
// beside each other.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createHash, randomUUID } from 'node:crypto'
import { canonicalJson } from '../../crypto/portable/canonical-json.ts'
import { revokeScopes } from '../../db/revocation.ts'
import { GatewayError, InvariantError } from '../../domain/errors.ts'
import type { Principal } from '../../domain/principal.ts'
import type { LiveEpochs } from '../../gateway/epochs.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { spooledIn } from '../support/evidence.ts'
import {
  allowAll,
  createPerson,
  fund,
  holdOf,
  openGateway,
  policyOf,
  recordsOf,
  ruleOf,
  toolCall,
  type Gateway,
} from './fixture.ts'

let database: TestDatabase
let gateway: Gateway

beforeAll(async () => {
  database = await createTestDatabase()
  gateway = await openGateway(database)
})

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
  await database?.[Symbol.asyncDispose]()
})

const never = async (): Promise<never> => {
  throw new Error('This effect must not run.')
}
const answering = async () => ({ value: 'fine', output: { text: 'fine' } })

/** A feed that never heard of anything and says how old it is. */
const deafFeed = (fresh: boolean): LiveEpochs => ({
  epochOf: () => 0,
  isFresh: () => fresh,
  watch: () => ({ signal: new AbortController().signal, release: () => undefined }),
  refresh: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
})

async function sealed(principal: Principal, from = gateway) {
  await from.sealer.drain()
  return recordsOf(database.pool, principal.tenant)
}

const attemptsOf = async (principal: Principal) =>
  (
    await database.pool.query<{ seq: bigint; outcome: string | null; usage: unknown }>(
      'SELECT seq, outcome, usage FROM attempt WHERE wallet_id = $1 ORDER BY seq',
      [principal.walletId],
    )
  ).rows

test('refuses what a rule denies, and records the rule', async () => {
  const policy = policyOf(allowAll, ruleOf('no-notes', { kind: 'deny', hard: false }, { resources: ['tool:notes/*'] }))
  await using strict = await openGateway(database, { policy })
  const person = await createPerson(database.pool)
  const answer = await strict.pipeline.run(toolCall(person, 'write'), never)
  expect(answer).toMatchObject({ kind: 'refused', code: 'policy-refused', decision: { ruleIds: ['no-notes'] } })
  const [record] = await sealed(person, strict)
  expect(record).toMatchObject({ status: 'denied', error_code: 'policy-refused', seq: 1, effect_seq: null })
  expect(record?.policy).toMatchObject({
    decision: 'deny',
    policy_id: 'test',
    version: 3,
    epoch: 7,
    rules: ['no-notes'],
  })
  expect(await attemptsOf(person)).toEqual([])
})

test('holds what needs a person, and records that too', async () => {
  const policy = policyOf(allowAll, ruleOf('ask', { kind: 'require', requirement: 'approval' }, { actors: 'some' }))
  await using strict = await openGateway(database, { policy })
  const person = await createPerson(database.pool, { actorChain: [{ kind: 'agent', id: 'assistant' }] })
  const answer = await strict.pipeline.run(toolCall(person, 'write'), never)
  expect(answer).toMatchObject({ kind: 'held', decision: { requirement: 'approval', ruleIds: ['ask'] } })
  const [record] = await sealed(person, strict)
  expect(record).toMatchObject({ status: 'held', error_code: 'approval-required', policy: { decision: 'require' } })
  expect(record?.act).toEqual([{ kind: 'agent', id: 'assistant' }])
})

test.each(['read', 'write'] as const)('refuses a %s call of a revoked session from memory', async (effectClass) => {
  const person = await createPerson(database.pool)
  await revokeScopes(database.pool, { scopes: [`session:${person.sessionIds.usid}`], reason: 'lost', by: 'test' })
  await gateway.epochs.refresh()
  const answer = await gateway.pipeline.run(toolCall(person, effectClass), never)
  expect(answer).toMatchObject({ kind: 'refused', code: 'revoked' })
  expect(await sealed(person)).toMatchObject([{ status: 'refused', error_code: 'revoked' }])
})

test('refuses a governed call by the database when this process has not heard of the revocation', async () => {
  await using deaf = await openGateway(database, { epochs: deafFeed(true) })
  const person = await createPerson(database.pool)
  const call = toolCall(person, 'write', {
    resource: { kind: 'tool', name: 'notes/lost_note', effectClass: 'write', owner: person.wallet },
  })
  await revokeScopes(database.pool, { scopes: ['tool:notes/lost_note'], reason: 'bad', by: 'test' })
  const answer = await deaf.pipeline.run(call, never)
  expect(answer).toMatchObject({ kind: 'refused', code: 'revoked', reason: 'tool:notes/lost_note was revoked.' })
  expect(await attemptsOf(person)).toEqual([])
})

test('refuses reads and admissions on a stale feed; governed calls ask the database', async () => {
  await using stale = await openGateway(database, { epochs: deafFeed(false) })
  const person = await createPerson(database.pool)
  expect(await stale.pipeline.run(toolCall(person, 'read'), never)).toMatchObject({ code: 'revocation-feed-stale' })
  expect(await stale.pipeline.admit(toolCall(person, 'write'))).toMatchObject({ code: 'revocation-feed-stale' })
  expect(await stale.pipeline.run(toolCall(person, 'write'), answering)).toMatchObject({ kind: 'done' })
  const records = await sealed(person, stale)
  expect(records.map(({ status, error_code }) => [status, error_code])).toEqual([
    ['refused', 'revocation-feed-stale'],
    ['refused', 'revocation-feed-stale'],
    ['ok', null],
  ])
})

test('refuses what the balance does not cover, before the effect', async () => {
  const person = await createPerson(database.pool)
  await fund(database.pool, person, 999n)
  const answer = await gateway.pipeline.run(toolCall(person, 'read', { hold: holdOf(1_000n) }), never)
  expect(answer).toMatchObject({ kind: 'refused', code: 'insufficient-funds' })
  expect(await attemptsOf(person)).toEqual([])
  expect(await sealed(person)).toMatchObject([{ status: 'refused', error_code: 'insufficient-funds' }])
})

test('refuses a call of a try that has ended', async () => {
  const person = await createPerson(database.pool)
  const turn = { turnId: randomUUID(), try: 1, step: 1 }
  const answer = await gateway.pipeline.run(toolCall(person, 'write', { turn }), never)
  expect(answer).toMatchObject({ kind: 'refused', code: 'turn-cancelled' })
})

test('treats a hold of another amount, or one that was resolved, as a bug', async () => {
  const person = await createPerson(database.pool)
  await fund(database.pool, person, 10_000n)
  const hold = holdOf(1_000n)
  await gateway.pipeline.run(toolCall(person, 'write', { hold }), answering)
  const other = toolCall(person, 'write', { hold: { ...hold, amountMicros: 2_000n } })
  await expect(gateway.pipeline.run(other, never)).rejects.toThrow(InvariantError)
  await database.pool.query("SELECT ledger_void($1, $2, 12::smallint, '{}')", [randomUUID(), hold.id])
  await expect(gateway.pipeline.run(toolCall(person, 'write', { hold }), never)).rejects.toThrow(/hold_resolved/)
})

test('records an effect that fails with its code, and rethrows the same error', async () => {
  const person = await createPerson(database.pool)
  const failure = new GatewayError('upstream-timeout', 'The upstream took too long.')
  for (const effectClass of ['read', 'write'] as const) {
    const run = gateway.pipeline.run(toolCall(person, effectClass), async () => Promise.reject(failure))
    await expect(run).rejects.toBe(failure)
  }
  expect(await sealed(person)).toMatchObject([
    { status: 'error', error_code: 'upstream-timeout', effect_seq: null },
    { status: 'error', error_code: 'upstream-timeout', effect_seq: expect.any(Number) as number },
  ])
  expect(await attemptsOf(person)).toMatchObject([{ outcome: 'upstream-timeout' }])
})

test('aborts a running effect when its scope is revoked, and records the abort', async () => {
  const person = await createPerson(database.pool)
  const run = gateway.pipeline.run(toolCall(person, 'write'), async ({ signal }) => {
    await revokeScopes(database.pool, { scopes: [`wallet:${person.wallet}`], reason: 'stolen', by: 'test' })
    return new Promise<never>((_resolve, reject) => {
      const cut = () => reject(new Error('socket cut'))
      if (signal.aborted) cut() // the notice may come before the answer of the revocation
      else signal.addEventListener('abort', cut)
    })
  })
  await expect(run).rejects.toMatchObject({ code: 'revoked', message: `wallet:${person.wallet} was revoked.` })
  expect(await sealed(person)).toMatchObject([{ status: 'error', error_code: 'revoked' }])
  expect(await attemptsOf(person)).toMatchObject([{ outcome: 'revoked' }])
})

test('runs nothing when the caller has left already', async () => {
  const person = await createPerson(database.pool)
  const gone = new Error('gone')
  const run = gateway.pipeline.run(toolCall(person, 'write', { signal: AbortSignal.abort(gone) }), never)
  await expect(run).rejects.toBe(gone)
  expect(await attemptsOf(person)).toMatchObject([{ outcome: 'internal' }])
})

test('stores rows, attempt and outcome together or not at all', async () => {
  const person = await createPerson(database.pool)
  const fault = new Error('no room')
  const run = gateway.pipeline.run(toolCall(person, 'write'), async () => ({
    value: null,
    record: async (client) => {
      await client.query("INSERT INTO rate_bucket (key, tokens, at) VALUES ('half', 1, now())")
      throw fault
    },
  }))
  await expect(run).rejects.toBe(fault)
  expect((await database.pool.query("SELECT 1 FROM rate_bucket WHERE key = 'half'")).rowCount).toBe(0)
  expect(await sealed(person)).toMatchObject([{ status: 'error', error_code: 'internal' }])
})

test('answers a governed call with hold, order, usage and hashes on record', async () => {
  const person = await createPerson(database.pool, { sessionIds: { usid: 'u1', wsid: 'w1', asid: 'a1', msid: 'm1' } })
  await fund(database.pool, person, 5_000n)
  const call = toolCall(person, 'write', { hold: holdOf(500n), attempt: 2 })
  const answer = await gateway.pipeline.run(call, async ({ seq }) => ({
    ...(await answering()),
    value: seq,
    usage: { tokens: 4 },
  }))
  const [attempt] = await attemptsOf(person)
  expect(answer).toMatchObject({ kind: 'done', value: attempt?.seq })
  expect(attempt).toMatchObject({ outcome: 'ok', usage: { tokens: 4 } })
  const hash = (value: unknown) => createHash('sha256').update(canonicalJson(value)).digest('hex')
  expect(await sealed(person)).toMatchObject([
    {
      status: 'ok',
      effect_seq: Number(attempt?.seq),
      retries: 1,
      idempotency_key: call.effectKey,
      input_sha256: hash({ text: 'hello' }),
      output_sha256: hash({ text: 'fine' }),
      trace_id: 'ab'.repeat(16),
      span_id: 'cd'.repeat(8),
      server: 'notes',
      tool: 'write_note',
      sub: person.wallet,
      wallet_id: person.walletId.toString(),
      usid: 'u1',
      wsid: 'w1',
      asid: 'a1',
      msid: 'm1',
      prev_sha256: '0'.repeat(64),
    },
  ])
})

test('a lean read has its intent on file before the effect and its outcome before the answer, and no row', async () => {
  const person = await createPerson(database.pool)
  const linesOf = async (id: string) => (await spooledIn(gateway.folder)).filter((line) => line.includes(id))
  let attempt = ''
  const answer = await gateway.pipeline.run(toolCall(person, 'read'), async ({ attemptId }) => {
    attempt = attemptId
    expect((await linesOf(attemptId)).map((line) => 'outcome' in JSON.parse(line))).toEqual([false])
    return answering()
  })
  expect(answer).toMatchObject({ kind: 'done', value: 'fine' })
  expect((await linesOf(attempt)).map((line) => 'outcome' in JSON.parse(line))).toEqual([false, true])
  const { rowCount } = await database.pool.query('SELECT 1 FROM audit_pending WHERE tenant = $1', [person.tenant])
  expect(rowCount).toBe(0)
  expect(await attemptsOf(person)).toEqual([])
})

test('admits without an effect and says so on record', async () => {
  const person = await createPerson(database.pool)
  expect(await gateway.pipeline.admit(toolCall(person, 'write'))).toMatchObject({ kind: 'done', value: null })
  expect(await sealed(person)).toMatchObject([{ status: 'admitted', output_sha256: null, effect_seq: null }])
})

test('hashes what JSON cannot say, and stores names that a jsonb column cannot', async () => {
  const person = await createPerson(database.pool)
  const odd = { text: 'a\ud800b', big: 5n }
  const call = toolCall(person, 'read', { facts: { phase: 'call', arguments: odd } })
  const resource = { ...call.resource, name: 'notes/get\0\ud800' }
  await gateway.pipeline.run({ ...call, resource }, answering)
  expect(await sealed(person)).toMatchObject([{ tool: 'get\ufffd\ufffd', status: 'ok' }])
})

test('lets no attempt pass after a revocation, under concurrency', async () => {
  await using deaf = await openGateway(database, { epochs: deafFeed(true) })
  for (const round of [1, 2, 3, 4, 5]) {
    const person = await createPerson(database.pool)
    const seqs: bigint[] = []
    let refused = 0
    const attempt = async () => {
      const answer = await deaf.pipeline.run(toolCall(person, 'write'), async ({ seq }) => {
        seqs.push(seq ?? 0n)
        return { value: null }
      })
      if (answer.kind === 'refused') refused += 1
    }
    const before = Array.from({ length: 10 * round }, attempt)
    const revocation = revokeScopes(database.pool, { scopes: [`wallet:${person.wallet}`], reason: 'x', by: 'test' })
    const after = Array.from({ length: 40 }, attempt)
    const revokedAt = await revocation
    await Promise.all([...before, ...after, attempt()])
    expect(seqs.every((seq) => seq < revokedAt)).toBe(true)
    expect(refused).toBeGreaterThan(0)
    expect(seqs.length + refused).toBe(10 * round + 41)
  }
})
