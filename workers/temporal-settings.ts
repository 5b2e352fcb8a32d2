// Brings a Temporal cluster to what `temporal.yaml` asks for: namespace, its retention, search attributes. A second run
// changes nothing; nothing is ever removed.
import {
  Connection,
  ScheduleAlreadyRunning,
  ScheduleClient,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
} from '@temporalio/client'
import type { temporal } from '@temporalio/proto'
import type { TemporalSettings } from '../config/temporal.ts'
import { queues } from '../workflows/contract.ts'
import { sleep } from './local/processes.ts'

export type TemporalTarget = {
  readonly address: string
  readonly namespace: string
  readonly settings: Pick<TemporalSettings, 'namespace' | 'searchAttributes'> &
    Partial<Pick<TemporalSettings, 'schedules'>>
  /** How long to wait for the cluster's first answer. */
  readonly connectMs?: number
}

type TypeName = TemporalSettings['searchAttributes'][string]
type Target = TemporalTarget & { readonly connection: Connection }

const connectMsMax = 10_000
const settleMsMax = 30_000 // frontends read namespaces and attributes from a cache
const notFound = 5 // gRPC status
const alreadyExists = 6
const daySeconds = 86_400

// temporal.api.enums.v1.IndexedValueType; a type alone is imported because the package is not an ES module.
const codes = {
  Text: 1,
  Keyword: 2,
  Int: 3,
  Double: 4,
  Bool: 5,
  Datetime: 6,
  KeywordList: 7,
} as const satisfies Readonly<Record<TypeName, temporal.api.enums.v1.IndexedValueType>>

/**
 * Applies the settings and answers what was changed, one phrase each; nothing on a second run. Throws an Error that says
 * what to do by other means where the cluster does not let us (a managed one asks for its own tools), and for an
 * attribute that is there with another type.
 */
export async function applyTemporalSettings(target: TemporalTarget): Promise<string[]> {
  const connection = await Connection.connect({
    address: target.address,
    connectTimeout: target.connectMs ?? connectMsMax,
  })
  try {
    const whole = { ...target, connection }
    return [...(await applyNamespace(whole)), ...(await applyAttributes(whole)), ...(await applySchedules(whole))]
  } finally {
    await connection.close()
  }
}

async function applyNamespace({ connection, namespace, settings }: Target): Promise<string[]> {
  const seconds = Number.parseInt(settings.namespace.retention, 10) * daySeconds
  const known = await describe(connection, namespace)
  const says = `retention of namespace ${namespace}: ${settings.namespace.retention}`
  if (known !== undefined) {
    if (known === seconds) return []
    const config = { workflowExecutionRetentionTtl: { seconds: seconds as never } }
    await allowed(says, () => connection.workflowService.updateNamespace({ namespace, config }))
    return [says]
  }
  await allowed(`namespace ${namespace}`, async () => {
    const workflowExecutionRetentionPeriod = { seconds: seconds as never }
    await connection.workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod })
      .catch(unless(alreadyExists))
  })
  await settled(async () => (await describe(connection, namespace)) !== undefined)
  return [`namespace ${namespace}`, says]
}

// Seconds of retention, or undefined when there is no such namespace.
async function describe(connection: Connection, namespace: string): Promise<number | undefined> {
  const reply = await connection.workflowService.describeNamespace({ namespace }).catch(unless(notFound))
  return reply === undefined ? undefined : Number(reply.config?.workflowExecutionRetentionTtl?.seconds ?? 0)
}

async function applyAttributes({ connection, namespace, settings }: Target): Promise<string[]> {
  const wanted = Object.entries(settings.searchAttributes)
  const list = async () => (await connection.operatorService.listSearchAttributes({ namespace })).customAttributes
  const known = await settledValue(list)
  for (const [name, type] of wanted) {
    const present = known[name]
    if (present !== undefined && !isType(present, type))
      throw new Error(`Search attribute ${name} of namespace ${namespace} exists and is not a ${type}.`)
  }
  const missing = wanted.filter(([name]) => known[name] === undefined)
  if (missing.length === 0) return []
  const says = `search attributes ${missing.map(([name, type]) => `${name}=${type}`).join(' ')}`
  const searchAttributes = Object.fromEntries(missing.map(([name, type]) => [name, codes[type]]))
  await allowed(says, () =>
    connection.operatorService.addSearchAttributes({ namespace, searchAttributes }).catch(unless(alreadyExists)),
  )
  await settled(async () => {
    const now = await list()
    return missing.every(([name]) => now[name] !== undefined)
  })
  return [says]
}

// What a schedule was made from stands in its note: a changed line of the file is told from an unchanged one by it.
async function applySchedules({ connection, namespace, settings }: Target): Promise<string[]> {
  const client = new ScheduleClient({ connection, namespace })
  const changes: string[] = []
  for (const [scheduleId, wanted] of Object.entries(settings.schedules ?? {})) {
    const note = `temporal.yaml: ${wanted.workflow} ${wanted.cron} ${wanted.catchup}`
    const handle = client.getHandle(scheduleId)
    const known = await handle.describe().catch((error: unknown) => {
      if (!(error instanceof ScheduleNotFoundError)) throw error
      return undefined
    })
    if (known?.state.note === note) continue
    const body = {
      spec: { cronExpressions: [wanted.cron] },
      action: { type: 'startWorkflow' as const, workflowType: wanted.workflow, taskQueue: queues.durable, args: [] },
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: wanted.catchup as '1m' },
    }
    if (known) await handle.update(({ state }) => ({ ...body, state: { ...state, note } }))
    else
      await client.create({ scheduleId, ...body, state: { note } }).catch((error: unknown) => {
        if (!(error instanceof ScheduleAlreadyRunning)) throw error // another process made the same at the same time
      })
    changes.push(`schedule ${scheduleId}: ${wanted.cron}`)
  }
  return changes
}

const unless =
  (code: number) =>
  (error: unknown): undefined => {
    if ((error as { code?: unknown }).code !== code) throw error
  }

async function allowed(what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw new Error(`The cluster refused: ${what}. Make it by the cluster's own tools.`, { cause: error })
  }
}

// The package's enum and our numbers of it.
function isType(code: number, type: TypeName): boolean {
  return code === codes[type]
}

async function settled(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + settleMsMax
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`The cluster did not show the change within ${settleMsMax} ms.`)
    await sleep(100)
  }
}

// A namespace that was just made is not known to every part of the cluster yet.
async function settledValue<T>(read: () => Promise<T>): Promise<T> {
  const box: { value?: T } = {}
  await settled(async () => {
    const value = await read().catch(unless(notFound))
    if (value !== undefined) box.value = value
    return value !== undefined
  })
  return box.value as T
}
