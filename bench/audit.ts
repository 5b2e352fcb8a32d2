// What evidence costs: a read's two lines in the spool, a refusal's one, and bringing a record into the chain. The
// control appends the same bytes to a file, one line a call, and signs and hashes a record's bytes.
import { createHash, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createSeal } from '../crypto/seal.ts'
import { decide, policySet } from '../domain/policy/combine.ts'
import { auditIntent, auditOutcome } from '../gateway/audit-record.ts'
import { createAuditSpool } from '../gateway/audit-spool.ts'
import { sealBatch } from '../gateway/seal-chain.ts'
import { createSigningKeys } from '../gateway/signing-keys.ts'
import { createSpoolFiles } from '../gateway/spool-files.ts'
import { createSpoolReader } from '../gateway/spool-reader.ts'
import { allowAll, personWith, quiet, toolCall } from '../test/gateway/fixture.ts'
import { newSpoolFolder } from '../test/support/evidence.ts'
import { startOwnDatabase } from '../test/support/own-postgres.ts'
import { measure, report } from './measure.ts'

const count = Number(process.argv[2] ?? 20_000)
const atOnce = 32
const folder = await newSpoolFolder()
await using database = await startOwnDatabase('bench')
const { pool } = database
const call = toolCall(personWith({}), 'read')
const decision = decide(policySet({ policyId: 'bench', version: 1, epoch: 1, rules: [allowAll] }), call)
const intentOf = () => auditIntent({ call, decision, at: new Date(), span: null })
const outcomeOf = () => auditOutcome({ status: 'ok', output: 'fine' }, performance.now())

const line = `${JSON.stringify({ id: randomUUID(), intent: intentOf(), outcome: outcomeOf() })}\n`
const file = await open(join(folder, 'control'), 'a')
report(
  `control: one line of ${line.length} bytes appended to a file`,
  await measure({ count, atOnce, work: () => file.appendFile(line) }),
)
await file.close()
const { privateKey } = generateKeyPairSync('ed25519')
const signing = async () => {
  createHash('sha256').update(line).digest()
  sign(null, Buffer.from(line), privateKey)
}
report('control: hash and sign those bytes', await measure({ count, atOnce, work: signing }))

const unbounded = { bytesMax: Number.MAX_SAFE_INTEGER, fileBytesMax: Number.MAX_SAFE_INTEGER }
const files = createSpoolFiles({ folder: join(folder, 'spool'), ...unbounded })
const spool = createAuditSpool({ files, log: quiet, onWrite: () => undefined })
const readOnce = async () => {
  const begun = await spool.begin(randomUUID(), intentOf())
  await spool.end(begun, outcomeOf())
}
const refuseOnce = () => spool.write(randomUUID(), { intent: intentOf(), outcome: outcomeOf() })
report('append: intent and outcome of a read', await measure({ count, atOnce, work: readOnce }))
report('append: a refusal', await measure({ count, atOnce, work: refuseOnce }))
report('append: intent and outcome, one read at a time', await measure({ count: count / 4, atOnce: 1, work: readOnce }))

const keys = await createSigningKeys({ pool, seal: createSeal(randomBytes(32)), clock: () => new Date() })
const reader = createSpoolReader(files.open().file)
const [own] = files.all()
const before = process.cpuUsage()
const startedAt = performance.now()
let sealed = 0
for (let ready = await reader.look(); ready.length > 0; ready = await reader.look()) {
  for (let from = 0; from < ready.length; from += 100) {
    const evidence = ready.slice(from, from + 100)
    await sealBatch({ pool, keys, log: { error: () => undefined } }, { tenant: call.principal.tenant, evidence })
    reader.settle(evidence.map(({ id }) => id))
    sealed += evidence.length
  }
}
const { user, system } = process.cpuUsage(before)
const seconds = (performance.now() - startedAt) / 1_000
process.stdout.write(
  `${'seal: read, join, link, sign and store a record'.padEnd(58)} CPU ${((user + system) / sealed).toFixed(0).padStart(5)} µs  ${(sealed / seconds).toFixed(0).padStart(6)}/s  of ${sealed} records\n`,
)
await spool.close()
own?.file.close()
await rm(folder, { recursive: true, force: true })
