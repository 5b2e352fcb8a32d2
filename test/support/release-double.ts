// The makers' site for Temporal releases, on loopback: one archive with a script in it that says a version.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type ReleaseFaults = {
  /** What the script in the archive answers. */
  readonly says?: string
  /** Text of checksums.txt. */
  readonly checksums?: (name: string, sum: string) => string
  /** Cuts the archive in its middle. */
  readonly torn?: boolean
  readonly status?: number
}

export type ReleaseDouble = {
  readonly site: string
  readonly asked: string[]
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

export async function startReleases(version: string, faults: ReleaseFaults = {}): Promise<ReleaseDouble> {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch
  const name = `temporal_cli_${version}_${process.platform}_${arch}.tar.gz`
  const archive = archiveOf(`#!/bin/sh\necho "temporal version ${faults.says ?? version} (Server 1.31.2)"\n`)
  const sum = createHash('sha256').update(archive).digest('hex')
  const list = faults.checksums ?? ((each, its) => `${'0'.repeat(64)}  other.tar.gz\n${its}  ${each}\n`)
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (faults.status !== undefined) response.writeHead(faults.status).end()
    else if (request.url === `/v${version}/checksums.txt`) response.end(list(name, sum))
    else if (request.url !== `/v${version}/${name}`) response.writeHead(404).end()
    else if (faults.torn === true) {
      response.writeHead(200, { 'content-length': archive.length })
      response.write(archive.subarray(0, archive.length / 2), () => response.destroy())
    } else response.end(archive)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    site: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function archiveOf(script: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-release-'))
  try {
    writeFileSync(join(folder, 'LICENSE'), 'MIT')
    writeFileSync(join(folder, 'temporal'), script)
    chmodSync(join(folder, 'temporal'), 0o755)
    execFileSync('tar', ['-czf', join(folder, 'a.tar.gz'), '-C', folder, 'LICENSE', 'temporal'])
    return readFileSync(join(folder, 'a.tar.gz'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
