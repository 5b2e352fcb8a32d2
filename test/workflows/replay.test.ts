// Histories that shipped versions wrote replay on today's code, without a server. A changed order must be noticed.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker'
import { beforeAll, expect, test } from 'vitest'
import { createTracing } from '../../telemetry/tracing.ts'
import { bundleWorkflows, temporalPlugins } from '../../workers/temporal.ts'
import { testCodec } from '../support/durable-rig.ts'
import { quietRuntime } from '../support/temporal-server.ts'

const folder = fileURLToPath(new URL('./histories', import.meta.url))
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.json'))
  .toSorted()
const plugins = temporalPlugins({ codec: testCodec, tracing: createTracing({ name: 'replay' }) })

let workflowBundle: WorkflowBundleWithSourceMap
beforeAll(async () => {
  quietRuntime()
  workflowBundle = await bundleWorkflows(plugins)
})

const replay = (code: string, history: unknown) =>
  Worker.runReplayHistory({ workflowBundle: { ...workflowBundle, code }, plugins }, history)
const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'))

test('a workflow that does its steps in another order is caught', async () => {
  const swapped = workflowBundle.code.replace("if (outcome.kind === 'final')", "if (outcome.kind === 'tools')")
  expect(swapped).not.toBe(workflowBundle.code)
  await expect(replay(swapped, read('agent-turn/0.1.0/tools.json'))).rejects.toThrow(/TMPRL1100|[Nn]ondeterminism/)
})

test('there is a history of each workflow', () => {
  expect(new Set(files.map((name) => name.split('/')[0]))).toEqual(new Set(['agent-turn', 'chat-session']))
})

test.each(files)('%s replays', async (name) => {
  await expect(replay(workflowBundle.code, read(name))).resolves.toBeUndefined()
})
