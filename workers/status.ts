// `npm run status [-- --json]`: where the parts of the running installation are.
import { resolve } from 'node:path'
import { ConfigError, loadConfig } from '../config/load.ts'
import { toError } from '../domain/errors.ts'
import { banner } from './local/banner.ts'
import { publicRunFile, readRunFile } from './local/run-file.ts'
import { stateOwner } from './local/state-lock.ts'

async function tell(): Promise<number> {
  const config = loadConfig(process.env)
  const stateDir = resolve(config.stateDir)
  const run = await readRunFile(stateDir)
  const asJson = process.argv.includes('--json')
  if (run) {
    const text = asJson
      ? `${JSON.stringify(publicRunFile(run), null, 2)}\n`
      : banner({ run, environment: config.environment, stateDir: config.stateDir })
    process.stdout.write(text)
    return 0
  }
  const owner = await stateOwner(stateDir)
  if (asJson) process.stdout.write(`${JSON.stringify({ ready: false, starting: owner?.pid ?? null }, null, 2)}\n`)
  else if (owner) process.stderr.write(`Gatehouse is starting or stopping (process ${owner.pid}).\n`)
  else process.stderr.write('Gatehouse does not run with this state folder. Start it with `npm start`.\n')
  return 1
}

try {
  process.exitCode = await tell()
} catch (error) {
  process.stderr.write(`${toError(error).message}\n`)
  process.exitCode = error instanceof ConfigError ? 78 : 1
}
