// What the pipeline costs without an upstream: a lean read (token, 1,000 rules, evidence in the spool) and a governed
// call (plus attempt, reserve and post in Postgres), each with the sealing of its records, done by the same process or
// left to another. The control finds the same token by its digest and asks Postgres for nothing, or for one.
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { signAccessToken } from '../crypto/access-token.ts'
import { createSeal } from '../crypto/seal.ts'
import { createListener } from '../db/pool.ts'
import { createAuthenticator } from '../gateway/authenticate.ts'
import { createAuditSpool } from '../gateway/audit-spool.ts'
import type { Principal } from '../domain/principal.ts'
import type { Call } from '../gateway/call.ts'
import { createEpochs } from '../gateway/epochs.ts'
import { openEvidence } from '../gateway/evidence.ts'
import type { PipelineDeps } from '../gateway/passage.ts'
import { createMemoryQuota } from '../gateway/quota-memory.ts'
import { createPipeline } from '../gateway/pipeline.ts'
import type { HoldOrder, Recorder } from '../gateway/ports.ts'
import { createSigningKeys } from '../gateway/signing-keys.ts'
import { createSpoolFiles } from '../gateway/spool-files.ts'
import { allowAll, createPerson, fund, holdOf, policyOf, quiet, ruleOf, toolCall } from '../test/gateway/fixture.ts'
import { newSpoolFolder } from '../test/support/evidence.ts'
import { startOwnDatabase } from '../test/support/own-postgres.ts'
import { measure, report } from './measure.ts'

const count = Number(process.argv[2] ?? 10_000)
const atOnce = 32
const rulesCount = 1_000
const folders = [await newSpoolFolder(), await newSpoolFolder()] as const
await using database = await startOwnDatabase('bench')
const { pool, url } = database
const clock = () => new Date()
const keys = await createSigningKeys({ pool, seal: createSeal(randomBytes(32)), clock })
await using epochs = await createEpochs({ pool, listener: () => createListener(url), log: quiet })

const other = { kind: 'deny', hard: false } as const
const rules = Array.from({ length: rulesCount }, (_, n) =>
  ruleOf(`r${n}`, other, n % 2 ? { tenants: [`tenant-${n}`] } : { tools: [{ server: '*', tool: `tool_${n}*` }] }),
)
// A rate that every call takes from; in memory, since a store that replicas share is a round trip of its own.
const rate = {
  kind: 'limit',
  meter: 'calls-per-second',
  amount: 1_000_000,
  per: 'tenant-tool',
  rank: 'default',
} as const
const policy = policyOf(allowAll, ruleOf('rate', rate), ...rules)
const quota = createMemoryQuota()

const publicUrl = 'http://127.0.0.1:1'
const events = { decisionMade: () => undefined, credentialRefused: () => undefined }
const members = { of: (wallet: string) => ({ tenant: wallet, roles: ['owner' as const] }) }
const person = await createPerson(pool)
await fund(pool, person, 100_000_000n)
const now = Math.floor(Date.now() / 1_000)
const claims = { iss: publicUrl, aud: publicUrl, sub: person.wallet, walletAddress: person.wallet, sid: randomUUID() }
const times = { iat: now, exp: now + 3_600, auth_time: now, amr: ['wallet'], epoch: 0 }
const token = signAccessToken({ ...claims, ...times, jti: randomUUID() }, keys.active('access-token'))
const authenticate = createAuthenticator({
  ...{ pool, keys, epochs, members, clock, publicUrl },
  events: events as unknown as Parameters<typeof createAuthenticator>[0]['events'],
})
const credentials = { authorizationHeaders: [`Bearer ${token}`], cookie: undefined, remoteAddress: '127.0.0.1' }

const known = new Map([[createHash('sha256').update(token).digest('base64'), person]])
report(
  'control: find a token by its digest',
  await measure({
    ...{ count, atOnce },
    work: async () => known.get(createHash('sha256').update(token).digest('base64')),
  }),
)
report(
  'control: one prepared statement',
  await measure({ count, atOnce, work: () => pool.query({ name: 'one', text: 'SELECT 1' }) }),
)

// Sealing left to another process: what the pipeline itself takes.
const unbounded = { bytesMax: Number.MAX_SAFE_INTEGER, fileBytesMax: Number.MAX_SAFE_INTEGER }
const files = createSpoolFiles({ folder: folders[0], ...unbounded })
const spool = createAuditSpool({ files, log: quiet, onWrite: () => undefined })
const spooled = { ...spool, wake: () => undefined }
await measureBoth('sealed elsewhere', { evidence: spooled })
await spool.close()
for (const { file } of files.all()) file.close()
{
  await using evidence = await openEvidence({
    ...{ pool, keys, log: quiet, folder: folders[1] },
    connection: () => createListener(url),
  })
  await measureBoth('sealed here', { evidence, after: evidence.drain })
}
for (const folder of folders) await rm(folder, { recursive: true, force: true })

function postOf({ id, amountMicros }: HoldOrder): Recorder {
  return async (client) => {
    await client.query({
      name: 'bench-post',
      text: "SELECT ledger_post($1, $2, $3, 11::smallint, '{}', gen_random_uuid()) AS answer",
      values: [randomUUID(), id, amountMicros],
    })
  }
}

type How = { readonly evidence: PipelineDeps['evidence']; readonly after?: () => Promise<void> }

async function measureBoth(name: string, { evidence, ...how }: How): Promise<void> {
  const pipeline = createPipeline({
    ...{ pool, epochs, evidence, quota, events },
    policy: { current: () => policy },
    spanIds: () => null,
  })
  const act = async (callOf: (principal: Principal) => Call) => {
    const call = callOf(await authenticate(credentials))
    const { hold } = call
    const result = { value: 'fine', output: 'fine', ...(hold ? { record: postOf(hold) } : {}) }
    const answer = await pipeline.run(call, async () => result)
    if (answer.kind !== 'done')
      throw new Error(`The bench asks what is allowed, and was answered ${JSON.stringify(answer)}.`)
  }
  const lean = () => act((principal) => toolCall(principal, 'read'))
  report(`lean: token, 1,000 rules, spool (${name})`, await measure({ count, atOnce, work: lean, ...how }))
  const governed = () => act((principal) => toolCall(principal, 'write', { hold: holdOf(100n) }))
  const load = { count: Math.ceil(count / 5), atOnce: 12, work: governed, ...how }
  report(`governed: attempt, reserve, post too (${name})`, await measure(load))
}
