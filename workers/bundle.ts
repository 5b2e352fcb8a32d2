// Writes the workflow bundle beside the compiled rooms; a part of the build.
import { writeFile } from 'node:fs/promises'
import { createPayloadCodec } from '../crypto/payload-codec.ts'
import { createTracing } from '../telemetry/tracing.ts'
import { bundlePath, bundleWorkflows, temporalPlugins } from './temporal.ts'

// Keys and exporters stay outside the bundle: any will do here.
const codec = createPayloadCodec([{ id: 'none', key: new Uint8Array(32) }])
const { code } = await bundleWorkflows(temporalPlugins({ codec, tracing: createTracing({ name: 'bundle' }) }))
await writeFile(bundlePath, code)
