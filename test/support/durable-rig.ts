// A durable worker in the test's own process: every queue, the real bundle, codec and failure converter, with the
// activities that the suite gives it.
import { Client, Connection, type WorkflowHandle } from '@temporalio/client'
import { NativeConnection, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker'
import { createDurable, type Durable } from '../../clients/durable.ts'
import { createPayloadCodec } from '../../crypto/payload-codec.ts'
import { createTracing, type Tracing } from '../../telemetry/tracing.ts'
import { bundleWorkflows, temporalPlugins } from '../../workers/temporal.ts'
import { queues, sessionWorkflowId, turnWorkflowId, type SessionLabels } from '../../workflows/contract.ts'
import { quietRuntime, startTestTemporal, type TestTemporal } from './temporal-server.ts'

export type Activities = Record<string, (...args: never[]) => Promise<unknown>>

export type Bench = AsyncDisposable & {
  readonly temporal: TestTemporal
  readonly bundle: WorkflowBundleWithSourceMap
  readonly client: Client
  readonly durable: Durable
  readonly tracing: Tracing
  /** Runs workers of all queues while the work lasts. */
  readonly withWorkers: <T>(activities: Activities, work: () => Promise<T>) => Promise<T>
}

const codecKey = Buffer.from('a planted key of thirty-two byte', 'utf8').subarray(0, 32)
export const testCodec = createPayloadCodec([{ id: 'test-1', key: codecKey }])

/** A Temporal server, a bundle and clients; dispose of it at the end of the file. */
export async function createBench(tracing = createTracing({ name: 'test' })): Promise<Bench> {
  quietRuntime()
  const plugins = temporalPlugins({ codec: testCodec, tracing })
  const bundle = await bundleWorkflows(plugins) // before the server: a bundle that fails leaves nothing behind
  const temporal = await startTestTemporal()
  const { address, namespace } = temporal
  const connection = await Connection.connect({ address })
  const native = await NativeConnection.connect({ address })
  const client = new Client({ connection, namespace, plugins })
  const durable = createDurable({ address, namespace, client: { plugins } })
  return {
    temporal,
    bundle,
    client,
    durable,
    tracing,
    async withWorkers(activities, work) {
      const common = { connection: native, namespace, plugins, shutdownGraceTime: 500 }
      const beats = { maxHeartbeatThrottleInterval: 100, defaultHeartbeatThrottleInterval: 100 }
      const own = [queues.llm, queues.tools, queues.ledger].map((taskQueue) => ({ taskQueue, activities, ...beats }))
      const all = [{ taskQueue: queues.durable, workflowBundle: bundle }, ...own]
      const workers = await Promise.all(all.map((options) => Worker.create({ ...common, ...options })))
      const running = Promise.all(workers.map((worker) => worker.run()))
      try {
        return await work()
      } finally {
        for (const worker of workers) worker.shutdown()
        await running
      }
    },
    async [Symbol.asyncDispose]() {
      await durable[Symbol.asyncDispose]()
      await connection.close()
      await native.close()
      await temporal[Symbol.asyncDispose]()
      await tracing[Symbol.asyncDispose]()
    },
  }
}

export function labelsOf(sessionId: string): SessionLabels {
  return {
    sessionId,
    tenantId: 't1',
    walletId: '7',
    agentId: 'assistant',
    stepsMax: 50,
    revocationScopes: ['global:all', 'agent:a'],
  }
}

export const sessionHandle = (bench: Bench, sessionId: string): WorkflowHandle =>
  bench.client.workflow.getHandle(sessionWorkflowId(sessionId))
export const turnHandle = (bench: Bench, sessionId: string, turnId: string): WorkflowHandle =>
  bench.client.workflow.getHandle(turnWorkflowId({ sessionId, turnId, try: 1 }))
