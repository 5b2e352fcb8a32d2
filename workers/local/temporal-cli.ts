// Finds the Temporal CLI, in this order: on PATH, kept in the user's cache, built now by Go from the pinned module,
// downloaded as published. What is built or downloaded is shared by every clone, made once under a lock and renamed into
// place.
import { execFile, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { toError } from '../../domain/errors.ts'
import { tryLock } from './file-lock.ts'
import { sleep } from './processes.ts'
import { downloadTemporal, releaseSite } from './temporal-download.ts'

export type TemporalWay = 'path' | 'cache' | 'build' | 'download'
export type FoundTemporal = { readonly path: string; readonly way: TemporalWay }

export type FindOptions = {
  readonly mode: 'auto' | 'path' | 'build' | 'download'
  readonly version: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** One line of progress for a person. */
  readonly say: (line: string) => void
  /** Ends a wait or a build. */
  readonly signal?: AbortSignal
  /** Where the makers' releases are; another one in tests. */
  readonly downloadSite?: string
}

const buildMsMax = 30 * 60_000
const moduleDir = fileURLToPath(new URL('../../temporal/', import.meta.url))

/** Answers a runnable CLI. Throws an Error that names the five ways when there is none. */
export async function findTemporal(options: FindOptions): Promise<FoundTemporal> {
  const ways: Record<FindOptions['mode'], (() => Promise<FoundTemporal | undefined>)[]> = {
    auto: [() => onPath(options), () => cached(options), () => built(options), () => downloaded(options)],
    path: [() => onPath(options)],
    build: [() => cached(options), () => built(options)],
    download: [() => cached(options), () => downloaded(options)],
  }
  for (const way of ways[options.mode]) {
    options.signal?.throwIfAborted()
    const found = await way()
    if (found) return found
  }
  throw new Error(
    [
      'No Temporal CLI was found. Any of these will do:',
      '  1. set TEMPORAL_ADDRESS to a running cluster',
      '  2. put `temporal` 1.8 or newer on PATH',
      '  3. install Go 1.26.4 or newer: it is then built once (about 5 minutes)',
      '  4. GATEHOUSE_TEMPORAL=download on a machine with internet',
      `  5. put the binary at ${cachePath(options)}`,
    ].join('\n'),
  )
}

/** How a CLI would be had, without building or downloading anything; undefined when it could not. */
export async function probeTemporal(options: FindOptions): Promise<string | undefined> {
  const found = (await onPath(options)) ?? (await cached(options))
  if (found) return `${found.path} (${found.way})`
  if (options.mode === 'download') return 'will be downloaded'
  return options.mode !== 'path' && hasGo(options) ? 'will be built with Go at the first start' : undefined
}

/** `$XDG_CACHE_HOME/gatehouse/temporal/<version>/temporal`, else below `~/.cache`. */
export function cachePath({ environment, version }: Pick<FindOptions, 'environment' | 'version'>): string {
  const base = environment['XDG_CACHE_HOME'] ?? join(environment['HOME'] ?? homedir(), '.cache')
  return join(base, 'gatehouse', 'temporal', version, 'temporal')
}

async function onPath(options: FindOptions): Promise<FoundTemporal | undefined> {
  for (const folder of (options.environment['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'temporal')
    if (folder === '' || !existsSync(path)) continue
    const version = await versionOf(path)
    const [major = 0, minor = 0] = (version ?? '0.0').split('.').map(Number)
    if (major > 1 || (major === 1 && minor >= 8)) return { path, way: 'path' }
    options.say(`${path} is version ${version ?? 'unknown'}, older than 1.8; looking further.`)
  }
  return undefined
}

async function cached(options: FindOptions): Promise<FoundTemporal | undefined> {
  const path = cachePath(options)
  if (!existsSync(path)) return undefined
  return (await versionOf(path)) === options.version ? { path, way: 'cache' } : undefined
}

async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: 20_000 })
    return /version (\d+\.\d+\.\d+)/.exec(stdout)?.[1]
  } catch {
    return undefined
  }
}

function hasGo(options: FindOptions): boolean {
  const go = spawnSync('go', ['env', 'GOVERSION'], {
    encoding: 'utf8',
    env: { ...options.environment, GOTOOLCHAIN: 'local' },
  })
  const [, major = '0', minor = '0', patch = '0'] = /^go(\d+)\.(\d+)(?:\.(\d+))?/.exec(go.stdout ?? '') ?? []
  const enough = Number(major) > 1 || Number(minor) > 26 || (Number(minor) === 26 && Number(patch) >= 4)
  if (go.status !== 0) options.say('There is no Go toolchain.')
  else if (!enough) options.say(`Go ${go.stdout.trim()} is older than 1.26.4.`)
  return go.status === 0 && enough
}

async function built(options: FindOptions): Promise<FoundTemporal | undefined> {
  if (!hasGo(options)) return undefined
  const path = cachePath(options)
  await mkdir(dirname(path), { recursive: true })
  const release = await lockCache(path, options)
  try {
    // Somebody else may have finished while we waited.
    return (await cached(options)) ?? (await build(options, path))
  } finally {
    await release()
  }
}

// Whoever has the lock alone writes there; what those before left half-done is swept away.
async function lockCache(path: string, options: FindOptions): Promise<() => Promise<void>> {
  const file = `${path}.lock`
  const deadline = Date.now() + buildMsMax
  for (let told = false; ; told = true) {
    const taken = await tryLock(file)
    if (taken.kind === 'ours') {
      await sweepDrafts(path)
      return taken.release
    }
    if (!told) options.say(`Process ${taken.owner.pid} builds or downloads the Temporal CLI; waiting for it.`)
    options.signal?.throwIfAborted()
    if (Date.now() > deadline) throw new Error(`The build lock ${file} was not released.`)
    await sleep(500)
  }
}

async function sweepDrafts(path: string): Promise<void> {
  const folder = dirname(path)
  const drafts = (await readdir(folder)).filter((name) => /^temporal\.\d+\.tmp$/.test(name))
  await Promise.all(drafts.map((name) => rm(join(folder, name), { recursive: true, force: true })))
}

async function build(options: FindOptions, path: string): Promise<FoundTemporal> {
  options.say('Building the Temporal CLI with Go, once for this user: about 5 minutes on two cores.')
  options.say('On a machine with internet GATEHOUSE_TEMPORAL=download is quicker.')
  const draft = `${path}.${process.pid}.tmp`
  const startedAt = Date.now()
  const elapsed = () => `${Math.round((Date.now() - startedAt) / 1000)} s`
  const linker = `-s -w -X github.com/temporalio/cli/internal/temporalcli.Version=${options.version}`
  const args = [
    'build',
    '-mod=readonly',
    '-trimpath',
    '-ldflags',
    linker,
    '-o',
    draft,
    'github.com/temporalio/cli/cmd/temporal',
  ]
  const child = spawn('go', args, {
    cwd: moduleDir,
    env: { ...options.environment, CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '' },
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(options.signal ? { signal: options.signal } : {}),
  })
  let tail = ''
  child.stderr.on('data', (chunk: Buffer) => (tail = (tail + chunk.toString('utf8')).slice(-4_000)))
  const timer = setInterval(() => options.say(`  … building, ${elapsed()}`), 15_000)
  try {
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
    if (code !== 0) throw new Error(`go build ended with ${code}:\n${tail}`)
    if ((await versionOf(draft)) !== options.version)
      throw new Error('The built Temporal CLI does not answer its version.')
    await rename(draft, path)
  } finally {
    clearInterval(timer)
    await rm(draft, { force: true })
  }
  options.say(`Built the Temporal CLI in ${elapsed()}.`)
  return { path, way: 'build' }
}

// The last way, and the only one that needs the makers' site.
async function downloaded(options: FindOptions): Promise<FoundTemporal | undefined> {
  const { version, say, signal } = options
  const path = cachePath(options)
  await mkdir(dirname(path), { recursive: true })
  const release = await lockCache(path, options)
  try {
    const theirs = await cached(options)
    if (theirs) return theirs
    say('Downloading the Temporal CLI …')
    const site = options.downloadSite ?? releaseSite
    await downloadTemporal({ version, path, site, signal, say, versionOf })
    return { path, way: 'download' }
  } catch (error) {
    signal?.throwIfAborted()
    say(`The download failed: ${toError(error).message}`)
    return undefined
  } finally {
    await release()
  }
}
