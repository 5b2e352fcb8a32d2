// Processes that are killed while they decide, and the judge of what they left: no call in the upstream's own journal
// lacks a record, nothing that was answered is lost, nothing is there twice, and the chain has no gap.
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AuditRecord } from '../../schemas/audit.ts'
import { asIntruder, createPerson, openGateway, recordsOf, verifyStored } from '../gateway/fixture.ts'
import type { TestDatabase } from './database.ts'
import { newSpoolFolder } from './evidence.ts'

export const killPoints = ['before-bytes', 'after-upstream', 'after-outcome', 'in-seal', 'before-commit'] as const
export type KillPoint = (typeof killPoints)[number]

/** What a process of `evidence-child.ts` is told. `upstream` and `answered` are the files of the two journals. */
export type EvidenceOrder = {
  readonly name: string
  readonly url: string
  readonly folder: string
  readonly masterKey: string
  readonly wallet: string
  readonly walletId: string
  readonly point: KillPoint | null
  readonly perSecond: number
  readonly calls: number
  readonly upstream: string
  readonly answered: string
}

export type KillOptions = {
  readonly database: TestDatabase
  readonly perSecond: number
  readonly calls: number
  /** One process each: where it dies, or after how many milliseconds it is killed; null lets it end. */
  readonly processes: readonly (KillPoint | number | null)[]
}

export type Killed = {
  /** Sentences of what did not hold; none is success. */
  readonly broken: readonly string[]
  readonly upstream: number
  readonly answered: number
  readonly records: number
  readonly unknown: number
  /** Milliseconds from an outcome to its record, of what the processes sealed themselves. */
  readonly sealMs: { readonly p50: number; readonly p95: number }
}

const child = fileURLToPath(new URL('./evidence-child.ts', import.meta.url))
const waitMs = 20_000

/** Runs processes on one tenant's chain and one spool folder, lets another seal what they left, and judges. */
export async function killAndJudge(options: KillOptions): Promise<Killed> {
  const { database } = options
  const folder = await newSpoolFolder()
  const spools = join(folder, 'spool')
  const masterKey = await masterKeyOf(database)
  const person = await createPerson(database.pool)
  const [upstream, answered] = [join(folder, 'upstream'), join(folder, 'answered')]
  const order = {
    ...{ url: database.url, folder: spools, masterKey: masterKey.toString('hex'), upstream, answered },
    ...{ wallet: person.wallet, walletId: person.walletId.toString() },
    ...{ perSecond: options.perSecond, calls: options.calls },
  }
  try {
    const ends = await Promise.all(
      options.processes.map((end, n) => run({ ...order, name: `p${n}`, point: null }, end)),
    )
    const endedAt = new Date()
    await using gateway = await openGateway(database, { masterKey, spool: { folder: spools } })
    const isSealed = async () => {
      await asIntruder(database, "UPDATE audit_pending SET at = at - interval '1 hour' WHERE tenant = $1", [
        person.tenant,
      ])
      await gateway.sealer.drain()
      const { rowCount } = await database.pool.query('SELECT 1 FROM audit_pending WHERE tenant = $1', [person.tenant])
      return rowCount === 0 && (await namesIn(spools)).length === 0
    }
    const sealedInTime = await until(isSealed)
    const verified = await verifyStored(gateway, database.pool, person.tenant)
    const records = await recordsOf(database.pool, person.tenant)
    const seen = { upstream: await linesOf(upstream), answered: await linesOf(answered), records }
    return {
      broken: [
        ...ends.filter((fault) => fault !== null),
        ...(sealedInTime ? [] : ['Not all that was left is sealed.']),
        ...(verified.ok ? [] : [`The chain is broken at ${verified.firstBrokenSeq}: ${verified.reason}.`]),
        ...gateway.faults.map((fault) => `A fault: ${JSON.stringify(fault)}`),
        ...faultsOf(seen),
      ],
      upstream: seen.upstream.length,
      answered: seen.answered.length,
      records: records.length,
      unknown: records.filter(({ status }) => status === 'unknown').length,
      sealMs: await sealingTimes(database, { tenant: person.tenant, before: endedAt }),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

type Seen = {
  readonly upstream: readonly string[]
  readonly answered: readonly string[]
  readonly records: readonly AuditRecord[]
}

function faultsOf({ upstream, answered, records }: Seen): string[] {
  const byKey = new Map<string, AuditRecord[]>()
  for (const record of records)
    byKey.set(record.idempotency_key, [...(byKey.get(record.idempotency_key) ?? []), record])
  const of = (key: string) => byKey.get(key) ?? []
  return [
    ...upstream.filter((key) => of(key).length === 0).map((key) => `The upstream was called for ${key}: no record.`),
    ...answered.flatMap((line) => {
      const [key = '', status = ''] = line.split(' ')
      const isThere = of(key).some((record) => record.status === status)
      return isThere ? [] : [`${key} was answered ${status}: no record says so.`]
    }),
    ...[...byKey].flatMap(([key, all]) => {
      const first = all.filter(({ follows }) => follows === null)
      return first.length === 1 ? [] : [`${key} has ${first.length} records.`]
    }),
  ]
}

// Answers what was wrong with the way a process ended; null when nothing was.
async function run(order: EvidenceOrder, end: KillPoint | number | null): Promise<string | null> {
  const point = typeof end === 'string' ? end : null
  const started = fork(child, [JSON.stringify({ ...order, point })], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let said = ''
  started.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const exited = once(started, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  started.on('message', () => {
    if (typeof end === 'number') setTimeout(() => started.kill('SIGKILL'), end)
  })
  const deadline = setTimeout(() => started.kill('SIGTERM'), waitMs + (order.calls / order.perSecond) * 1_000)
  const [code, signal] = await exited
  clearTimeout(deadline)
  const asExpected = end === null ? code === 0 : signal === 'SIGKILL'
  return asExpected ? null : `A process ended with ${code ?? signal}. ${said}`
}

// One key for all that is opened on a database.
const masterKeys = new WeakMap<TestDatabase, Buffer>()
async function masterKeyOf(database: TestDatabase): Promise<Buffer> {
  const known = masterKeys.get(database) ?? randomBytes(32)
  masterKeys.set(database, known)
  return known
}

async function sealingTimes(
  { pool }: TestDatabase,
  { tenant, before }: { tenant: string; before: Date },
): Promise<Killed['sealMs']> {
  const { rows } = await pool.query<{ p50: number | null; p95: number | null }>(
    `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) AS p95
      FROM (SELECT extract(epoch FROM sealed_at - at)::double precision * 1000 - (body::jsonb->>'latency_ms')::integer AS ms
        FROM audit_record WHERE tenant = $1 AND sealed_at < $2 AND body::jsonb->>'latency_ms' IS NOT NULL) sealed`,
    [tenant, before],
  )
  return { p50: Math.round(rows[0]?.p50 ?? 0), p95: Math.round(rows[0]?.p95 ?? 0) }
}

const namesIn = (folder: string) => readdir(folder).catch(() => [])
const linesOf = async (file: string) =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')

async function until(holds: () => Promise<boolean>): Promise<boolean> {
  const startedAt = performance.now()
  while (!(await holds())) {
    if (performance.now() - startedAt > waitMs) return false
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return true
}
