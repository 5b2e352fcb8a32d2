// Recorded histories of every shipped version replay on today's workflows. A changed order of steps does not.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode, DefaultLogger, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker'
import { beforeAll, expect, test } from 'vitest'
import { createSeal } from '../../crypto/seal.ts'
import { bundleWorkflows, dataConverterOf } from '../../workers/temporal.ts'
import { replayMasterKey } from '../support/replay.ts'

const folder = fileURLToPath(new URL('./histories/', import.meta.url))
const recordings = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'))
const dataConverter = dataConverterOf(createSeal(replayMasterKey))
const history = (name: string) =>
  JSON.parse(readFileSync(join(folder, name), 'utf8')) as Parameters<typeof Worker.runReplayHistory>[1]
let bundle: WorkflowBundleWithSourceMap

beforeAll(async () => {
  bundle = await bundleWorkflows()
}, 60_000)

test('every workflow kind has a recording', () => {
  expect(new Set(recordings.map((name) => name.split('/')[0]))).toEqual(new Set(['agentTurn', 'chatSession']))
})

test.each(recordings)('%s replays', async (name) => {
  await expect(
    Worker.runReplayHistory({ workflowBundle: bundle, dataConverter }, history(name)),
  ).resolves.toBeUndefined()
})

test('steps in another order do not replay', async () => {
  const workflowsPath = fileURLToPath(new URL('./swapped/index.ts', import.meta.url))
  const swapped = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') })
  const name = recordings.find((each) => each.startsWith('agentTurn')) ?? ''
  await expect(Worker.runReplayHistory({ workflowBundle: swapped, dataConverter }, history(name))).rejects.toThrow()
})

test('recordings are ciphertext', () => {
  for (const name of recordings)
    expect(readFileSync(join(folder, name), 'utf8')).toContain(Buffer.from('binary/encrypted').toString('base64'))
})
