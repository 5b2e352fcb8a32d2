// A process that decides and acts until it is killed: at a named point of the path of evidence, or by its parent at any
// moment. The upstream and the caller each keep a journal of their own, written before anything else happens.
import { openSync, writeSync } from 'node:fs'
import { createSeal } from '../../crypto/seal.ts'
import { createListener, createPool, type Client } from '../../db/pool.ts'
import type { Answer, Call } from '../../gateway/call.ts'
import { openEvidence, type EvidenceKeeper } from '../../gateway/evidence.ts'
import { createEpochs } from '../../gateway/epochs.ts'
import { createMemoryQuota } from '../../gateway/quota-memory.ts'
import { createPipeline } from '../../gateway/pipeline.ts'
import { createSigningKeys } from '../../gateway/signing-keys.ts'
import { allowAll, personWith, policyOf, quiet, ruleOf, toolCall } from '../gateway/fixture.ts'
import type { EvidenceOrder, KillPoint } from './evidence-kill.ts'

const order = JSON.parse(process.argv[2] ?? '{}') as EvidenceOrder
const pool = createPool({ url: order.url, connectionsMax: 12, applicationName: 'gatehouse-witness' })
const journals = { upstream: openSync(order.upstream, 'a'), answered: openSync(order.answered, 'a') }
const person = personWith({ wallet: order.wallet, walletId: BigInt(order.walletId), tenant: order.wallet })

let times = 0
/**
 * Dies the third time the process comes to its point: some evidence is there already, and more is on its way. All may be
 * sealed in one transaction, so there the first counts.
 */
function reach(point: KillPoint): void {
  if (point !== order.point) return
  times += 1
  if (times === (point === 'before-commit' ? 1 : 3)) process.kill(process.pid, 'SIGKILL')
}

/** The pool of the sealer: tells when records and head are written and the transaction is not yet committed. */
const sealing = new Proxy(pool, {
  get(target, name) {
    if (name !== 'connect') return bound(target, name)
    return async () => watched(await target.connect())
  },
})

function watched(client: Client): Client {
  return new Proxy(client, {
    get(target, name) {
      if (name !== 'query') return bound(target, name)
      return async (...query: [{ name?: string }]) => {
        const answer: unknown = await (target.query as (...parts: unknown[]) => Promise<unknown>)(...query)
        if (query[0].name === 'audit-head-move') reach('before-commit')
        return answer
      }
    },
  })
}

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name)
  return typeof value === 'function' ? (value as (...parts: unknown[]) => unknown).bind(target) : value
}

const keys = await createSigningKeys({
  pool,
  seal: createSeal(Buffer.from(order.masterKey, 'hex')),
  clock: () => new Date(),
})
const kept = await openEvidence({
  pool: sealing,
  keys: {
    ...keys,
    sign(purpose, bytes) {
      reach('in-seal')
      return keys.sign(purpose, bytes)
    },
  },
  log: quiet,
  folder: order.folder,
  connection: () => createListener(order.url, 'witness-spool'),
})
const evidence: EvidenceKeeper = {
  ...kept,
  async end(begun, outcome) {
    await kept.end(begun, outcome)
    reach('after-outcome')
  },
  wake() {
    kept.wake()
    reach('after-outcome')
  },
}
const epochs = await createEpochs({ pool, listener: () => createListener(order.url), log: quiet })
const forbidden = ruleOf('no', { kind: 'deny', hard: true }, { tools: [{ server: 'forbidden', tool: '*' }] })
const policy = { current: () => policyOf(allowAll, forbidden) }
const events = { decisionMade: () => undefined }
const pipeline = createPipeline({
  pool,
  epochs,
  policy,
  evidence,
  quota: createMemoryQuota(),
  events,
  spanIds: () => null,
})

/** What the record must say of an answer. A busy machine may let the feed of revocations go stale: that is a refusal. */
function statusOf(answer: Answer<unknown>): string {
  if (answer.kind === 'done') return 'ok'
  return answer.kind === 'refused' && answer.code === 'policy-refused' ? 'denied' : 'refused'
}

/** One call, from the caller's question to the caller's answer. */
async function act(call: Call): Promise<void> {
  const answer = await pipeline.run(call, async () => {
    reach('before-bytes')
    writeSync(journals.upstream, `${call.effectKey}\n`)
    reach('after-upstream')
    return { value: 'fine', output: 'fine' }
  })
  writeSync(journals.answered, `${call.effectKey} ${statusOf(answer)}\n`)
}

function callOf(n: number): Call {
  const effectKey = `${order.name}:${n}`
  if (n % 10 === 9) return toolCall(person, 'write', { effectKey })
  if (n % 10 < 7 || order.point !== null) return toolCall(person, n % 2 ? 'write' : 'read', { effectKey })
  return toolCall(person, 'read', {
    effectKey,
    resource: { kind: 'tool', name: 'forbidden/it', effectClass: 'read', owner: null },
  })
}

/** As many calls a second as asked for, whether or not the earlier ones are answered. */
async function actAtRate({ perSecond, calls }: { perSecond: number; calls: number }): Promise<void> {
  const startedAt = performance.now()
  const running: Promise<void>[] = []
  while (running.length < calls) {
    const due = Math.min(calls, Math.floor(((performance.now() - startedAt) * perSecond) / 1_000))
    while (running.length < due) running.push(act(callOf(running.length)))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await Promise.all(running)
}

process.send?.('ready')
await actAtRate(order)
await evidence.drain()
await kept[Symbol.asyncDispose]()
await epochs[Symbol.asyncDispose]()
await pool.end()
process.disconnect()
