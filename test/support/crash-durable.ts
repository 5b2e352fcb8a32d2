// A durable worker that ends itself with SIGKILL when it first passes the named point given on its command line.
import type { CrashPoint } from '../../activities/deps.ts'
import { runDurable } from '../../workers/durable-worker.ts'
import { runProcess } from '../../workers/process.ts'

const point = process.argv[2] as CrashPoint | undefined

await runProcess('durable', (context) =>
  runDurable(context, {
    crashPoint: (name) => {
      if (name === point) process.kill(process.pid, 'SIGKILL')
    },
  }),
)
