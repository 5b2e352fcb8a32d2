// `npm start`: everything on this machine, until Ctrl-C.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ConfigError, loadConfig } from '../config/load.ts'
import { toError } from '../domain/errors.ts'
import { banner } from './local/banner.ts'
import { supervise } from './local/supervisor.ts'
import { aborted } from './process.ts'

const replicasMax = 8

function replicas(text: string, name: string, least: number): number {
  const value = Number(text)
  const fits = Number.isInteger(value) && value >= least && value <= replicasMax
  if (!fits) throw new ConfigError([`--${name}: must be ${least} to ${replicasMax}`])
  return value
}

async function main(): Promise<void> {
  const startedAt = performance.now()
  const ending = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ending.abort())
  const { values } = parseArgs({
    options: { api: { type: 'string', default: '1' }, durable: { type: 'string', default: '1' } },
  })
  const config = loadConfig(process.env)
  const say = (line: string) => void process.stdout.write(`${line}\n`)
  const supervised = await supervise({
    config,
    environment: process.env,
    stateDir: resolve(config.stateDir),
    apiReplicas: replicas(values.api, 'api', 1),
    durableReplicas: replicas(values.durable, 'durable', 0) /* none: workers are run elsewhere */,
    say,
  })
  const readySeconds = (performance.now() - startedAt) / 1000
  say(banner({ run: supervised.run(), readySeconds, environment: config.environment, stateDir: config.stateDir }))
  await aborted(ending.signal)
  say('Stopping …')
  await supervised.stop()
  say('Stopped.')
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${toError(error).message}\n`)
  process.exitCode = error instanceof ConfigError ? 78 : 1
}
