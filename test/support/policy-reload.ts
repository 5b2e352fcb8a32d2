// Policies that flip while two processes decide. Two files change together at each flip and both name their generation in
// the rules that decide, so that a decision by a mixture names two. Bad files and unusable sets come in between.
import { fork, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { activatePolicies, addPolicyVersion } from '../../db/policy.ts'
import { createPool, type Pool } from '../../db/pool.ts'
import { inTransaction } from '../../db/transaction.ts'
import { importPolicies } from '../../gateway/policy-import.ts'
import { compilePolicyText } from '../../workers/files.ts'
import type { Decided, DeciderOrder, DeciderReport } from './policy-decider.ts'

export type ReloadOptions = {
  readonly url: string
  readonly seconds: number
  /** Of both processes together. */
  readonly perSecond: number
  readonly flipMs: number
}

export type Reload = {
  /** Sentences of what did not hold; none is success. */
  readonly broken: readonly string[]
  readonly decisions: number
  readonly records: number
  readonly epochs: number
  readonly badFiles: number
  readonly unusableSets: number
  /** The longest time from the commit of an epoch to a decision by it or a later one. */
  readonly slowestMs: number
}

const decider = fileURLToPath(new URL('./policy-decider.ts', import.meta.url))
const liveMs = 1_000

type Meant = { readonly generation: number; readonly at: number } | 'unusable'
type Ground = ReloadOptions & { readonly pool: Pool; readonly meant: Map<number, Meant> }

const kindOf = (generation: number) => (generation % 2 === 0 ? 'allow' : 'deny')
const textOf = (id: string, generation: number) => `policy: ${id}
version: 1
rules:
  - id: ${id}-${generation}
    effect: ${kindOf(generation)}
    tools: ["mcp://switch/flip"]
    reason: Generation ${generation}.
`

/** Runs to its end and says what was seen. */
export async function reloadUnderLoad(options: ReloadOptions): Promise<Reload> {
  const pool = createPool({ url: options.url, connectionsMax: 4 })
  const ground: Ground = { ...options, pool, meant: new Map() }
  const tenant = `reload-${randomBytes(4).toString('hex')}`
  try {
    await flip(ground, 0)
    const order: DeciderOrder = {
      ...{ url: options.url, tenant, perSecond: options.perSecond / 2 },
      masterKey: randomBytes(32).toString('hex'),
    }
    // The first makes the signing keys that the second reads.
    const children = [await start(order), await start(order)]
    const bad = await flipUntil(ground, performance.now() + options.seconds * 1_000)
    await new Promise((resolve) => setTimeout(resolve, liveMs)) // the last epoch is decided by, too
    const reports = await Promise.all(children.map(stop))
    return { ...(await judge(ground, reports, tenant)), ...bad, epochs: ground.meant.size }
  } finally {
    await pool.end()
  }
}

async function start(order: DeciderOrder): Promise<ChildProcess> {
  const child = fork(decider, [JSON.stringify(order)], { execArgv: ['--import', 'tsx'] })
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error('A decider ended before it began.'))),
  ])
  return child
}

async function stop(child: ChildProcess): Promise<DeciderReport> {
  const report = once(child, 'message') as Promise<[DeciderReport]>
  const exited = once(child, 'exit')
  child.send('stop')
  const ended = exited.then(() => Promise.reject(new Error('A decider ended without a word.')))
  const [said] = await Promise.race([report, ended])
  await exited
  return said
}

// Both files in one import.
async function flip({ pool, meant }: Ground, generation: number): Promise<void> {
  const files = ['left', 'right'].map((id) => ({ name: `policy/${id}.yaml`, text: textOf(id, generation) }))
  const { epoch, faults } = await importPolicies({ pool, compile: compilePolicyText }, async () => files)
  if (epoch === null || faults.length > 0) throw new Error(`A flip was not taken: ${faults.join()}`)
  meant.set(epoch, { generation, at: Date.now() })
}

async function flipUntil(ground: Ground, endAt: number): Promise<{ badFiles: number; unusableSets: number }> {
  let generation = 0
  const bad = { badFiles: 0, unusableSets: 0 }
  while (performance.now() < endAt) {
    await new Promise((resolve) => setTimeout(resolve, ground.flipMs))
    generation += 1
    await flip(ground, generation)
    if (generation % 3 === 0) {
      await importBad(ground, generation)
      bad.badFiles += 1
    }
    if (generation % 5 === 0) {
      await activateUnusable(ground, generation)
      bad.unusableSets += 1
    }
  }
  return bad
}

// One file would turn every answer, were it usable.
async function importBad({ pool }: Ground, generation: number): Promise<void> {
  const files = [
    { name: 'policy/left.yaml', text: textOf('left', generation + 1).replace('version: 1', 'version: one') },
    { name: 'policy/right.yaml', text: textOf('right', generation) },
  ]
  const { epoch, faults } = await importPolicies({ pool, compile: compilePolicyText }, async () => files)
  if (epoch !== null || faults.length === 0) throw new Error('A bad file was taken.')
}

// As from a newer release: in the table, and not to be compiled by anybody here. Then it is taken back.
async function activateUnusable({ pool, meant }: Ground, generation: number): Promise<void> {
  const text = 'policy: newer\nversion: 1\nrules: [{ id: newer, effect: unheard-of, reason: Newer. }]\n'
  const change = (withText: boolean) =>
    inTransaction(pool, async (client) => {
      const order = { policyId: 'newer', source: 'api', name: 'newer.yaml', text, declared: 1, by: 'test' } as const
      const version = withText ? await addPolicyVersion(client, { ...order, sha256: 'x' }) : null
      return activatePolicies(client, [{ policyId: 'newer', version }], 'test')
    })
  meant.set(await change(true), 'unusable')
  await new Promise((resolve) => setTimeout(resolve, 50))
  meant.set(await change(false), { generation, at: Date.now() })
}

type Judged = Pick<Reload, 'broken' | 'decisions' | 'records' | 'slowestMs'>

async function judge(ground: Ground, reports: readonly DeciderReport[], tenant: string): Promise<Judged> {
  const broken = reports.flatMap(({ faults }) => faults)
  const decided = reports.flatMap((report) => report.decided)
  broken.push(...decided.flatMap((each) => faultOf(ground.meant, each)))
  const kinds = new Set(decided.map(({ kind }) => kind))
  if (!kinds.has('allow') || !kinds.has('deny')) broken.push('the policies did not flip')
  const decisions = decided.reduce((sum, { count }) => sum + count, 0)
  const recorded = await recordsOf(ground.pool, tenant)
  broken.push(...recorded.flatMap((each) => faultOf(ground.meant, each).map((fault) => `record: ${fault}`)))
  const records = recorded.reduce((sum, { count }) => sum + count, 0)
  if (records !== decisions) broken.push(`${decisions} decisions, and ${records} records`)
  const slowestMs = Math.max(...reports.map((report) => slowestOf(ground.meant, report)))
  if (slowestMs > liveMs) broken.push(`an epoch was live after ${slowestMs} ms`)
  return { broken: broken.slice(0, 20), decisions, records, slowestMs }
}

function faultOf(meant: ReadonlyMap<number, Meant>, { epoch, kind, rules }: Decided): string[] {
  const set = meant.get(epoch)
  if (set === undefined) return [`epoch ${epoch} decided and was never made`]
  if (set === 'unusable') return [`epoch ${epoch} decided and cannot be compiled`]
  const wanted = `left-${set.generation},right/right-${set.generation}`
  if (rules === wanted && kind === kindOf(set.generation)) return []
  return [`epoch ${epoch} of generation ${set.generation} made ${kind} by ${rules}`]
}

// From the commit to the first decision of the process by that epoch or a later one.
function slowestOf(meant: ReadonlyMap<number, Meant>, { firstAt }: DeciderReport): number {
  const firsts = firstAt.toSorted(([a], [b]) => a - b)
  const startedAt = Math.min(...firsts.map(([, at]) => at))
  const waits = [...meant].flatMap(([epoch, set]) => {
    if (set === 'unusable' || set.at < startedAt) return []
    const at = firsts.find(([seen]) => seen >= epoch)?.[1]
    return [at === undefined ? Number.POSITIVE_INFINITY : Math.max(0, at - set.at)]
  })
  return Math.max(0, ...waits)
}

// In pages: the whole chain in one statement is more than a statement may take.
const pageRecords = 5_000

async function recordsOf(pool: Pool, tenant: string): Promise<Decided[]> {
  const all: Decided[] = []
  for (let after = 0; ; after += pageRecords) {
    const page = await pageOf(pool, tenant, after)
    if (page.length === 0) return all
    all.push(...page)
  }
}

async function pageOf(pool: Pool, tenant: string, after: number): Promise<Decided[]> {
  const { rows } = await pool.query<{ epoch: bigint; kind: string; rules: string; count: bigint }>(
    `SELECT (p->>'epoch')::bigint AS epoch, p->>'decision' AS kind,
       (SELECT string_agg(r, ',') FROM jsonb_array_elements_text(p->'rules') r) AS rules, count(*) AS count
     FROM audit_record, LATERAL (SELECT body::jsonb->'policy' AS p) x WHERE tenant = $1 AND seq > $2 AND seq <= $2 + $3
     GROUP BY 1, 2, 3`,
    [tenant, after, pageRecords],
  )
  return rows.map((row) => ({ ...row, epoch: Number(row.epoch), count: Number(row.count) }))
}
