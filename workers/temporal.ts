// Codec, failure converter and bundle in one place, so that client, worker and replay cannot diverge.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { DataConverter } from '@temporalio/common'
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundleWithSourceMap } from '@temporalio/worker'
import { createPayloadCodec } from '../crypto/payload-codec.ts'
import type { Seal } from '../crypto/seal.ts'

const ending = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const workflowPath = (name: string) => fileURLToPath(new URL(`../workflows/${name}${ending}`, import.meta.url))

/** The installation's payload codec: one key today, named so that a second can be added. */
export function payloadCodecOf(seal: Seal) {
  return createPayloadCodec([{ id: 'payload-1', key: seal.derive('temporal-payload/1') }])
}

/** Ciphertext for payloads and failures. */
export function dataConverterOf(seal: Seal): DataConverter {
  return { payloadCodecs: [payloadCodecOf(seal)], failureConverterPath: workflowPath('failure-converter') }
}

/** Bundles the workflows for the sandbox; a forbidden import fails here. */
export function bundleWorkflows(): Promise<WorkflowBundleWithSourceMap> {
  const entry = workflowPath('index')
  if (!existsSync(entry)) throw new Error(`${entry} does not exist.`)
  return bundleWorkflowCode({
    workflowsPath: entry,
    failureConverterPath: workflowPath('failure-converter'),
    logger: new DefaultLogger('WARN'),
  })
}
