// The durable worker as production runs it, except that it dies without a word at a named point: the first argument
// names the point, the second the workflow bundle.
import { runDurable } from '../../workers/durable-worker.ts'
import { runProcess } from '../../workers/process.ts'

const [point = '', codePath = ''] = process.argv.slice(2)

await runProcess('crash-worker', (context) =>
  runDurable(context, {
    bundle: { codePath },
    crashPoint: (name) => {
      if (name === point) process.kill(process.pid, 'SIGKILL')
    },
  }),
)
