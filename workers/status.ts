// `npm run status [-- --json]`: where the parts of the running installation are.
import { resolve } from 'node:path'
import { loadConfig } from '../config/load.ts'
import { banner } from './local/banner.ts'
import { publicRunFile, readRunFile } from './local/run-file.ts'

const config = loadConfig(process.env)
const run = await readRunFile(resolve(config.stateDir))
if (!run) {
  process.stderr.write('Gatehouse does not run with this state folder. Start it with `npm start`.\n')
  process.exitCode = 1
} else if (process.argv.includes('--json')) {
  process.stdout.write(`${JSON.stringify(publicRunFile(run), null, 2)}\n`)
} else {
  const readySeconds = 0
  process.stdout.write(banner({ run, readySeconds, environment: config.environment, stateDir: config.stateDir }))
}
