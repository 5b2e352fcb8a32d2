// Runs the Temporal workers of one process: workflows and the activity queues of its roles.
import {
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
  type WorkflowBundleOption,
} from '@temporalio/worker'
import type { CrashPoint } from '../activities/deps.ts'
import { createDurable } from '../clients/durable.ts'
import type { TemporalSettings } from '../config/temporal.ts'
import { readTemporalSettings } from './files.ts'
import { wireActivities } from './activities.ts'
import type { ProcessContext } from './process.ts'
import { assemble } from './services.ts'
import { payloadCodecOf, temporalPlugins, workflowBundle } from './temporal.ts'

const cachedWorkflowsMax = 1_000
const forceMs = 2_000 // for what ignores that it was cancelled

export type DurableParts = {
  /** Nothing in production; suites end the process here. */
  readonly crashPoint: (name: CrashPoint) => void
  /** Made at start, or taken from the build, when absent. */
  readonly bundle?: WorkflowBundleOption
}

/** Polls until the signal aborts, then drains. */
export async function runDurable({ config, log, signal, ready }: ProcessContext, parts: DurableParts): Promise<void> {
  const address = config.temporal.address
  if (address === undefined) throw new Error('TEMPORAL_ADDRESS is not set; `npm start` sets it.')
  Runtime.install({
    logger: new DefaultLogger('WARN', ({ level, message, meta }) => log.warn({ level, meta }, message)),
    shutdownSignals: [], // the frame of the process decides
  })
  const [services, settings] = await Promise.all([assemble({ config, log, name: 'durable' }), readTemporalSettings()])
  const plugins = temporalPlugins({ codec: payloadCodecOf(services.seal), tracing: services.tracing })
  const bundle = parts.bundle ?? (await workflowBundle(plugins))
  const durable = createDurable({ address, namespace: config.temporal.namespace, client: { plugins } })
  const { activities, tools } = await wireActivities({ services, config, log, durable, crashPoint: parts.crashPoint })
  const connection = await NativeConnection.connect({ address })
  const common: Omit<WorkerOptions, 'taskQueue'> = {
    connection,
    namespace: config.temporal.namespace,
    plugins,
    shutdownGraceTime: config.drainMs.work,
    shutdownForceTime: config.drainMs.work + forceMs,
  }
  const workers = await Promise.all(
    config.roles.map((role) => {
      const queue = settings.taskQueues[role]
      const own = queue.workflows ? { workflowBundle: bundle, maxCachedWorkflows: cachedWorkflowsMax } : {}
      return Worker.create({ ...common, ...own, taskQueue: role, ...activitySlots(queue, activities) })
    }),
  )
  try {
    const running = workers.map((worker) => worker.run())
    ready()
    const stop = () => workers.forEach((worker) => worker.getState() === 'RUNNING' && worker.shutdown())
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    await Promise.all(running)
  } finally {
    await connection.close()
    await durable[Symbol.asyncDispose]()
    await tools[Symbol.asyncDispose]()
    await services[Symbol.asyncDispose]()
  }
}

type Queue = TemporalSettings['taskQueues'][keyof TemporalSettings['taskQueues']]

function activitySlots(queue: Queue, activities: object): Partial<WorkerOptions> {
  if (queue.activities === 0) return {}
  return {
    activities,
    maxConcurrentActivityTaskExecutions: queue.activities,
    maxHeartbeatThrottleInterval: queue.heartbeatThrottleMs,
    defaultHeartbeatThrottleInterval: queue.heartbeatThrottleMs,
  }
}
