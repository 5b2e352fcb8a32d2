// A Temporal development server of a suite's own, in memory, with the settings of temporal.yaml.
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readTemporalSettings } from '../../workers/files.ts'
import { takePort } from '../../workers/local/ports.ts'
import { findTemporal } from '../../workers/local/temporal-cli.ts'
import { startTemporal, type LocalTemporal } from '../../workers/local/temporal.ts'

/** Starts it; the caller disposes of it. Where no CLI can be had this fails and says why. */
export async function startTestTemporal(): Promise<LocalTemporal> {
  const settings = await readTemporalSettings()
  const cli = await findTemporal({
    mode: 'auto',
    version: settings.cli,
    environment: process.env,
    say: () => undefined,
  })
  const port = await takePort(30_000 + Math.floor(Math.random() * 20_000), new Set())
  return startTemporal({
    cliPath: cli.path,
    settings,
    port,
    uiPort: 0,
    logFile: join(tmpdir(), `gatehouse-temporal-${port}.log`),
  })
}
