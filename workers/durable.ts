// The durable worker: workflows and activities.
import { runDurable } from './durable-worker.ts'
import { runProcess } from './process.ts'

await runProcess('durable', (context) => runDurable(context, { crashPoint: () => undefined }))
