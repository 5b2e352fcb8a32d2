// The Temporal CLI as its makers publish it: an archive and a list of checksums beside it. What does not match is thrown
// away; what was cut off leaves nothing.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { chmod, mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'

export type DownloadOptions = {
  readonly version: string
  /** Where the binary is put when it is complete. */
  readonly path: string
  /** Where releases are; another one in tests. */
  readonly site: string
  readonly signal: AbortSignal | undefined
  readonly say: (line: string) => void
  /** What the binary says it is; undefined when it does not run. */
  readonly versionOf: (path: string) => Promise<string | undefined>
}

export const releaseSite = 'https://github.com/temporalio/cli/releases/download'

const archiveBytesMax = 300_000_000 // 60 MB at 1.8
const listCharsMax = 100_000
const downloadMsMax = 10 * 60_000
const progressMs = 5_000

/** Fetches, checks, unpacks, tries and puts in place. Throws an Error that says what went wrong. */
export async function downloadTemporal(options: DownloadOptions): Promise<void> {
  const { version, path, site } = options
  const name = archiveName(version)
  const draft = `${path}.${process.pid}.tmp`
  const limit = AbortSignal.timeout(downloadMsMax)
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit
  await mkdir(draft, { recursive: true })
  try {
    const list = await fetchOk(`${site}/v${version}/checksums.txt`, signal)
    const expected = checksumOf((await list.text()).slice(0, listCharsMax), name)
    const archive = join(draft, name)
    const found = await save(await fetchOk(`${site}/v${version}/${name}`, signal), archive, options.say)
    if (found !== expected) throw new Error(`${name} is not what was published (SHA-256 ${found}).`)
    await promisify(execFile)('tar', ['-xzf', archive, '-C', draft, 'temporal'])
    const binary = join(draft, 'temporal')
    await chmod(binary, 0o755)
    if ((await options.versionOf(binary)) !== version)
      throw new Error(`What was downloaded is not Temporal ${version}.`)
    await rename(binary, path)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

function archiveName(version: string): string {
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch as string]
  if (!['linux', 'darwin'].includes(process.platform) || arch === undefined)
    throw new Error(`There is no archive for ${process.platform}-${process.arch}.`)
  return `temporal_cli_${version}_${process.platform}_${arch}.tar.gz`
}

async function fetchOk(url: string, signal: AbortSignal): Promise<Response> {
  const reply = await fetch(url, { signal }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : new Error(`${url} cannot be reached.`, { cause: error })
  })
  if (!reply.ok) throw new Error(`${url} answers ${reply.status}.`)
  return reply
}

function checksumOf(list: string, name: string): string {
  const words = list.split('\n').map((line) => line.trim().split(/\s+\*?/))
  const sum = words.find((line) => line[1] === name)?.[0] ?? ''
  if (!/^[0-9a-f]{64}$/.test(sum)) throw new Error(`No checksum is published for ${name}.`)
  return sum
}

// Answers the SHA-256 of what was saved.
async function save(reply: Response, file: string, say: (line: string) => void): Promise<string> {
  const hash = createHash('sha256')
  let bytes = 0
  const timer = setInterval(() => say(`  … downloading, ${Math.round(bytes / 1e6)} MB`), progressMs)
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of Readable.fromWeb(reply.body as Parameters<typeof Readable.fromWeb>[0])) {
      bytes += (chunk as Uint8Array).length
      if (bytes > archiveBytesMax) throw new Error('The archive is too large.')
      hash.update(chunk as Uint8Array)
      yield chunk as Uint8Array
    }
  }
  try {
    await pipeline(counted, createWriteStream(file, { mode: 0o600 }))
  } catch (error) {
    throw new Error(`The archive was cut off after ${bytes} bytes.`, { cause: error })
  } finally {
    clearInterval(timer)
  }
  return hash.digest('hex')
}
