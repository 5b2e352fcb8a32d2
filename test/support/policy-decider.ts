// A process of its own that follows the policies and decides at a steady rate through the pipeline, each decision on record.
// Started with its order as argument; ends on the first message, and sends what it saw.
import { createListener, createPool } from '../../db/pool.ts'
import { createPolicies } from '../../gateway/policies.ts'
import { compilePolicyText } from '../../workers/files.ts'
import { openGateway, personWith, quiet, toolCall } from '../gateway/fixture.ts'

export type DeciderOrder = {
  readonly url: string
  readonly tenant: string
  readonly masterKey: string
  readonly perSecond: number
}

/** One kind of decision that was made: by which epoch, how it went, by which rules, and how often. */
export type Decided = { readonly epoch: number; readonly kind: string; readonly rules: string; readonly count: number }

export type DeciderReport = {
  readonly decided: readonly Decided[]
  /** Unix milliseconds at which the first decision under an epoch was made. */
  readonly firstAt: readonly (readonly [epoch: number, at: number])[]
  readonly faults: readonly string[]
}

export const reloadTool = 'switch/flip'

async function run(order: DeciderOrder): Promise<void> {
  const pool = createPool({ url: order.url, connectionsMax: 6 })
  const listener = () => createListener(order.url)
  const log = { ...quiet, info: () => undefined }
  const policies = await createPolicies({ pool, compile: compilePolicyText, listener, log })
  const database = { pool, url: order.url, [Symbol.asyncDispose]: async () => undefined }
  const gateway = await openGateway(database, { source: policies, masterKey: Buffer.from(order.masterKey, 'hex') })
  const principal = personWith({ tenant: order.tenant })
  const seen = new Map<string, { epoch: number; kind: string; rules: string; count: number }>()
  const firstAt = new Map<number, number>()
  const faults: string[] = []
  const decideOnce = async () => {
    const call = toolCall(principal, 'read', {
      resource: { kind: 'tool', name: reloadTool, effectClass: 'read', owner: null },
    })
    const answer = await gateway.pipeline.admit(call)
    const { decision } = answer
    if (decision === null || (answer.kind === 'refused' && answer.code !== 'policy-refused'))
      throw new Error(`A decision ended with ${JSON.stringify(answer)}.`)
    const { epoch, kind, ruleIds } = decision
    if (!firstAt.has(epoch)) firstAt.set(epoch, Date.now())
    const key = `${epoch} ${kind} ${ruleIds.join()}`
    const one = seen.get(key) ?? { epoch, kind, rules: ruleIds.join(), count: 0 }
    seen.set(key, { ...one, count: one.count + 1 })
  }
  const stopping = new AbortController()
  process.once('message', () => stopping.abort())
  process.send?.('ready')
  const startedAt = performance.now()
  let made = 0
  while (!stopping.signal.aborted) {
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * order.perSecond) - made
    const batch = Array.from({ length: Math.min(Math.max(due, 0), 50) }, decideOnce)
    made += Math.max(batch.length, due > 500 ? due - 500 : 0) // what a stopped process missed is not made up for
    await Promise.all(batch).catch((error: unknown) => void (faults.length < 5 && faults.push(String(error))))
    await new Promise((resolve) => setTimeout(resolve, 4))
  }
  await gateway.sealer.drain()
  await gateway[Symbol.asyncDispose]()
  await policies[Symbol.asyncDispose]()
  await pool.end()
  const report: DeciderReport = { decided: [...seen.values()], firstAt: [...firstAt], faults }
  process.send?.(report, () => process.disconnect())
}

const [order] = process.argv.slice(2)
if (process.send && order !== undefined) await run(JSON.parse(order) as DeciderOrder)
