// Codec, failure converter, tracing and bundle in one place, so that client, worker, bundler and replay cannot diverge.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { PayloadCodec } from '@temporalio/common'
import { OpenTelemetryPlugin } from '@temporalio/interceptors-opentelemetry-v2'
import { SimplePlugin } from '@temporalio/plugin'
import {
  bundleWorkflowCode,
  DefaultLogger,
  type WorkflowBundleOption,
  type WorkflowBundleWithSourceMap,
} from '@temporalio/worker'
import { createPayloadCodec } from '../crypto/payload-codec.ts'
import type { Seal } from '../crypto/seal.ts'
import type { Tracing } from '../telemetry/tracing.ts'
import { cachedBundle } from './bundle-cache.ts'

const ending = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const workflowPath = (name: string) => fileURLToPath(new URL(`../workflows/${name}${ending}`, import.meta.url))
/** Where the build puts the bundle; beside the compiled rooms. */
export const bundlePath = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url))

export type TemporalParts = {
  readonly codec: PayloadCodec
  readonly tracing: Pick<Tracing, 'resource' | 'spanProcessor'>
}

/** The installation's payload codec: one key today, named so that a second can be added. */
export function payloadCodecOf(seal: Seal): PayloadCodec {
  return createPayloadCodec([{ id: 'payload-1', key: seal.derive('temporal-payload/1') }])
}

/** What every client, worker, bundle and replay of an installation is made with. */
export function temporalPlugins({ codec, tracing }: TemporalParts): SimplePlugin[] {
  const dataConverter = { payloadCodecs: [codec], failureConverterPath: workflowPath('failure-converter') }
  return [
    new SimplePlugin({ name: 'gatehouse', dataConverter }),
    new OpenTelemetryPlugin({ resource: tracing.resource, spanProcessor: tracing.spanProcessor }),
  ]
}

/** Bundles the workflows for the sandbox; a forbidden import fails here. */
export function bundleWorkflows(plugins: SimplePlugin[]): Promise<WorkflowBundleWithSourceMap> {
  return bundleWorkflowCode({
    workflowsPath: workflowPath('index'),
    failureConverterPath: workflowPath('failure-converter'),
    plugins,
    logger: new DefaultLogger('WARN'),
  })
}

/** The bundle of a build, else the one of these sources. */
export async function workflowBundle(plugins: SimplePlugin[]): Promise<WorkflowBundleOption> {
  if (ending === '.js' && existsSync(bundlePath)) return { codePath: bundlePath }
  const root = fileURLToPath(new URL('..', import.meta.url))
  return cachedBundle({ root, make: () => bundleWorkflows(plugins) })
}
