// A Temporal development server of its own for a test file, in memory, with what temporal.yaml asks for. Where none can
// be had the file fails and says why.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DefaultLogger, Runtime } from '@temporalio/worker'
import { parseTemporalSettings } from '../../config/temporal.ts'
import { findTemporal } from '../../workers/local/temporal-cli.ts'
import { startTemporal } from '../../workers/local/temporal.ts'

export type TestTemporal = AsyncDisposable & { readonly address: string; readonly namespace: string }

const settingsFile = fileURLToPath(new URL('../../temporal.yaml', import.meta.url))

/** Starts a server; resolves when it answers. */
export async function startTestTemporal(): Promise<TestTemporal> {
  const settings = parseTemporalSettings(readFileSync(settingsFile, 'utf8'))
  const say = () => undefined
  const { path } = await findTemporal({ mode: 'auto', version: settings.cli, environment: process.env, say })
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-temporal-'))
  const [port = 0, uiPort = 0] = await freePorts(2)
  const server = await startTemporal({ cliPath: path, settings, port, uiPort, logFile: join(folder, 'temporal.log') })
  return {
    address: server.address,
    namespace: settings.namespace.name,
    async [Symbol.asyncDispose]() {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The runtime of the SDK, quiet. Once per process, before the first worker. */
export function quietRuntime(): void {
  Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined), shutdownSignals: [] })
}

async function freePorts(many: number): Promise<number[]> {
  const servers = Array.from({ length: many }, () => createServer())
  await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', done))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return ports
}
