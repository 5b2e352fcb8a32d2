// `npm run dev`: everything, and what changed is restarted: the API for doors, the workers for durable code, both for
// what they share.
import { watch } from 'node:fs'
import { join, resolve } from 'node:path'
import { ConfigError, loadConfig } from '../config/load.ts'
import { toError } from '../domain/errors.ts'
import { root } from './files.ts'
import { banner } from './local/banner.ts'
import { supervise, type Supervised } from './local/supervisor.ts'
import { aborted } from './process.ts'

type Part = 'api' | 'durable'

const partsOf: Readonly<Record<string, readonly Part[]>> = {
  api: ['api'],
  activities: ['durable'],
  workflows: ['durable'],
  ...Object.fromEntries(
    [
      'domain',
      'schemas',
      'config',
      'telemetry',
      'crypto',
      'db',
      'clients',
      'gateway',
      'workers',
      'policy',
      'agents',
    ].map((room) => [room, ['api', 'durable'] as const]),
  ),
}
const settleMs = 200 // an editor saves in several steps

function follow(supervised: Supervised, say: (line: string) => void): () => void {
  const changed = new Set<Part>()
  let timer: NodeJS.Timeout | undefined
  const restart = () => {
    const parts = [...changed]
    changed.clear()
    say(`Changed: restarting ${parts.join(' and ')}.`)
    void Promise.all(parts.map((part) => supervised.restart(part))).catch((error: unknown) =>
      say(toError(error).message),
    )
  }
  const watchers = Object.entries(partsOf).map(([room, parts]) =>
    watch(join(root, room), { recursive: true }, (_event, name) => {
      if (name === null || !/\.(ts|sql|yaml|md|mjs)$/.test(name) || name.endsWith('README.md')) return
      parts.forEach((part) => changed.add(part))
      clearTimeout(timer)
      timer = setTimeout(restart, settleMs)
    }),
  )
  return () => watchers.forEach((watcher) => watcher.close())
}

async function main(): Promise<void> {
  const startedAt = performance.now()
  const ending = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ending.abort())
  const config = loadConfig(process.env)
  const say = (line: string) => void process.stdout.write(`${line}\n`)
  const options = {
    config,
    environment: process.env,
    stateDir: resolve(config.stateDir),
    apiReplicas: 1,
    durableReplicas: 1,
    say,
  }
  const supervised = await supervise(options)
  const readySeconds = (performance.now() - startedAt) / 1000
  say(banner({ run: supervised.run(), readySeconds, environment: config.environment, stateDir: config.stateDir }))
  const stopFollowing = follow(supervised, say)
  await aborted(ending.signal)
  stopFollowing()
  await supervised.stop()
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${toError(error).message}\n`)
  process.exitCode = error instanceof ConfigError ? 78 : 1
}
