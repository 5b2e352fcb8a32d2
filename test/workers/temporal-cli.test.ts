// How the Temporal CLI is found: in order, once for all, and never half-done. Go and the CLI are played by scripts.
import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { cachePath, findTemporal, probeTemporal, type FindOptions } from '../../workers/local/temporal-cli.ts'
import { until } from '../support/installation.ts'

const root = mkdtempSync(join(tmpdir(), 'gatehouse-cli-'))
const version = '1.8.2'
let home: string
let bin: string
let lines: string[]
let count = 0

beforeEach(() => {
  count += 1
  home = join(root, `home-${count}`)
  bin = join(home, 'bin')
  mkdirSync(bin, { recursive: true })
  lines = []
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

function script(file: string, body: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `#!/bin/sh\n${body}\n`)
  chmodSync(file, 0o755)
}

const cliOf = (number: string) => `echo "temporal version ${number} (Server 1.32.0)"`

// A toolchain that says its version, counts its builds and writes a CLI, slowly where asked.
function playGo({ says = 'go1.26.4', seconds = 0, builds = version, code = 0 } = {}): void {
  script(
    join(bin, 'go'),
    [
      `if [ "$1" = env ]; then echo ${says}; exit 0; fi`,
      `echo run >> "${home}/builds"`,
      'while [ "$1" != -o ]; do shift; done',
      'echo half > "$2"',
      `sleep ${seconds}`,
      `[ ${code} = 0 ] || { echo "no such module" >&2; exit ${code}; }`,
      `printf '#!/bin/sh\\n${cliOf(builds)}\\n' > "$2"; chmod 755 "$2"`,
    ].join('\n'),
  )
}

const builds = () =>
  existsSync(join(home, 'builds')) ? readFileSync(join(home, 'builds'), 'utf8').split('\n').length - 1 : 0
const options = (changed: Partial<FindOptions> = {}): FindOptions => ({
  mode: 'auto',
  version,
  environment: { PATH: `${bin}:/usr/bin:/bin`, HOME: home },
  say: (line) => void lines.push(line),
  downloadSite: 'http://127.0.0.1:9', // nobody is there
  ...changed,
})
const kept = () => join(home, '.cache', 'gatehouse', 'temporal', version, 'temporal')

test('with nothing to find it says what would do', async () => {
  await expect(findTemporal(options())).rejects.toThrow(
    /TEMPORAL_ADDRESS[^]*on PATH[^]*Go 1\.26\.4[^]*GATEHOUSE_TEMPORAL=download/,
  )
  expect(lines).toEqual([
    'There is no Go toolchain.',
    'Downloading the Temporal CLI …',
    'The download failed: http://127.0.0.1:9/v1.8.2/checksums.txt cannot be reached.',
  ])
  expect(await probeTemporal(options())).toBeUndefined()
})

test.each(['go1.26.3', 'go1.25.9', 'go1.9'])('%s is too old, and is said to be', async (says) => {
  playGo({ says })
  await expect(findTemporal(options({ mode: 'build' }))).rejects.toThrow('No Temporal CLI was found')
  expect(lines).toContain(`Go ${says} is older than 1.26.4.`)
  expect(builds()).toBe(0)
})

test('a CLI on PATH that is too old is passed over, and one way alone takes no other', async () => {
  script(join(bin, 'temporal'), cliOf('1.7.9'))
  playGo()
  await expect(findTemporal(options({ mode: 'path' }))).rejects.toThrow('No Temporal CLI was found')
  expect(lines[0]).toContain('is version 1.7.9, older than 1.8')
  expect(await findTemporal(options())).toEqual({ path: kept(), way: 'build' })
})

test('a build that fails says why and leaves nothing; so does one that makes something else', async () => {
  playGo({ code: 3 })
  await expect(findTemporal(options({ mode: 'build' }))).rejects.toThrow(/go build ended with 3[^]*no such module/)
  playGo({ builds: '9.9.9' })
  await expect(findTemporal(options({ mode: 'build' }))).rejects.toThrow('does not answer its version')
  expect(readdirSync(dirname(kept()))).toEqual(['temporal.lock'])
})

test('PATH comes first, then what is kept, then a build', async () => {
  playGo()
  expect(await findTemporal(options())).toEqual({ path: kept(), way: 'build' })
  expect(await findTemporal(options())).toEqual({ path: kept(), way: 'cache' })
  expect(builds()).toBe(1)
  script(join(bin, 'temporal'), cliOf('1.9.0'))
  expect(await findTemporal(options())).toEqual({ path: join(bin, 'temporal'), way: 'path' })
  expect(await findTemporal(options({ mode: 'build' }))).toEqual({ path: kept(), way: 'cache' })
  expect(lines.filter((line) => line.startsWith('Downloading'))).toEqual([])
})

test('what is kept is in the cache folder of the user, wherever that is', () => {
  expect(cachePath({ version, environment: { XDG_CACHE_HOME: '/c', HOME: '/h' } })).toBe(
    '/c/gatehouse/temporal/1.8.2/temporal',
  )
  expect(cachePath({ version, environment: { HOME: '/h' } })).toBe('/h/.cache/gatehouse/temporal/1.8.2/temporal')
})

const finder = fileURLToPath(new URL('../../scripts/find-temporal.ts', import.meta.url))

// A start in a process of its own, as `npm start` makes one.
function startFinder() {
  const child = spawn(process.execPath, ['--import', 'tsx', finder], { env: options().environment, detached: true })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const done = new Promise<{ code: number | null; text: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, text })),
  )
  return { child, done }
}

test('two starts at once build once', async () => {
  playGo({ seconds: 2 })
  const found = await Promise.all([startFinder().done, startFinder().done])
  expect(found.map(({ code }) => code)).toEqual([0, 0])
  expect(found.map(({ text }) => text).join('')).toMatch(
    /Process \d+ builds or downloads the Temporal CLI; waiting for it\./,
  )
  expect(builds()).toBe(1)
})

test('a build that was killed leaves nothing that is taken for a CLI, and the next start builds anew', async () => {
  playGo({ seconds: 3 })
  const { child, done } = startFinder()
  await until(() => builds() === 1, 10_000)
  process.kill(-(child.pid ?? 0), 'SIGKILL') // the whole group, go included
  await done
  expect(existsSync(kept())).toBe(false)
  playGo()
  expect(await findTemporal(options())).toEqual({ path: kept(), way: 'build' })
  expect(readdirSync(dirname(kept()))).toEqual(['temporal', 'temporal.lock'])
})
