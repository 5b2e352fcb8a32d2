// Finds or builds the Temporal CLI and says where it is.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseTemporalSettings } from '../config/temporal.ts'
import { findTemporal } from '../workers/local/temporal-cli.ts'

const settings = parseTemporalSettings(
  readFileSync(fileURLToPath(new URL('../temporal.yaml', import.meta.url)), 'utf8'),
)
const say = (line: string) => void process.stdout.write(`${line}\n`)
const found = await findTemporal({ mode: 'auto', version: settings.cli, environment: process.env, say })
say(`Temporal CLI ${settings.cli} (${found.way}): ${found.path}`)
