// `npm start`: everything on this machine, until Ctrl-C.
import { parseArgs } from 'node:util'
import { ConfigError } from '../config/load.ts'
import { runUntilStopped } from './local/until-stopped.ts'

const replicasMax = 8

function replicas(text: string, name: string, least: number): number {
  const value = Number(text)
  const fits = Number.isInteger(value) && value >= least && value <= replicasMax
  if (!fits) throw new ConfigError([`--${name}: must be ${least} to ${replicasMax}`])
  return value
}

await runUntilStopped({
  replicas() {
    const { values } = parseArgs({
      options: { api: { type: 'string', default: '1' }, durable: { type: 'string', default: '1' } },
    })
    return {
      api: replicas(values.api, 'api', 1),
      durable: replicas(values.durable, 'durable', 0) /* none: workers are run elsewhere */,
    }
  },
})
