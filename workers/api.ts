// The API process.
import { startApi } from './api-server.ts'
import { aborted, runProcess } from './process.ts'

await runProcess('api', async ({ config, log, signal, ready }) => {
  await using server = await startApi({ config, log })
  ready({ url: server.url })
  await aborted(signal)
})
