// The download of the Temporal CLI: what is not exactly what was published is not kept.
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { cachePath, findTemporal, type FindOptions } from '../../workers/local/temporal-cli.ts'
import { startReleases } from '../support/release-double.ts'

const version = '1.8.2'
const root = mkdtempSync(join(tmpdir(), 'gatehouse-download-'))
let home: string
let lines: string[]
let count = 0
beforeEach(() => {
  count += 1
  home = join(root, `home-${count}`)
  mkdirSync(join(home, 'bin'), { recursive: true })
  lines = []
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const options = (downloadSite: string, mode: FindOptions['mode'] = 'download'): FindOptions => ({
  mode,
  version,
  environment: { PATH: `${join(home, 'bin')}:/usr/bin:/bin`, HOME: home },
  say: (line) => void lines.push(line),
  downloadSite,
})
const kept = () => cachePath(options(''))
const files = () => readdirSync(dirname(kept())).toSorted()

test.each([
  ['an archive that was cut off', { torn: true }, /cut off after \d+ bytes/],
  ['another checksum', { checksums: (name: string) => `${'ab'.repeat(32)}  ${name}\n` }, /is not what was published/],
  ['no checksum', { checksums: () => `${'ab'.repeat(32)}  other.tar.gz\n` }, /No checksum is published/],
  ['a checksum that is none', { checksums: (name: string) => `abc  ${name}\n` }, /No checksum is published/],
  ['another version', { says: '1.8.1' }, /What was downloaded is not Temporal 1\.8\.2/],
  ['a site that does not know it', { status: 404 }, /answers 404/],
])('of %s nothing is kept, and the reason is said', async (_what, faults, says) => {
  await using releases = await startReleases(version, faults)
  await expect(findTemporal(options(releases.site))).rejects.toThrow('No Temporal CLI was found')
  expect(lines.at(-1)).toMatch(/^The download failed: /)
  expect(lines.at(-1)).toMatch(says)
  expect(files()).toEqual(['temporal.lock'])
})

test('a site out of reach is named', async () => {
  await expect(findTemporal(options('http://127.0.0.1:9'))).rejects.toThrow('No Temporal CLI was found')
  expect(lines.at(-1)).toBe('The download failed: http://127.0.0.1:9/v1.8.2/checksums.txt cannot be reached.')
})

test('two at once download once; later it is found where a build would be, and nothing is asked', async () => {
  await using releases = await startReleases(version)
  const found = await Promise.all([findTemporal(options(releases.site)), findTemporal(options(releases.site))])
  expect(found.map(({ way }) => way).toSorted()).toEqual(['cache', 'download'])
  expect(found.map(({ path }) => path)).toEqual([kept(), kept()])
  expect(releases.asked).toHaveLength(2)
  expect(files()).toEqual(['temporal', 'temporal.lock'])
  for (const mode of ['download', 'build', 'auto'] as const)
    expect(await findTemporal(options('http://127.0.0.1:9', mode))).toEqual({ path: kept(), way: 'cache' })
})

test('with a toolchain auto builds and downloads only when that is not to be had', async () => {
  await using releases = await startReleases(version)
  expect((await findTemporal(options(releases.site, 'auto'))).way).toBe('download')
  rmSync(kept())
  const go = join(home, 'bin', 'go')
  const cli = `printf '#!/bin/sh\\necho temporal version ${version}\\n' > "$2"; chmod 755 "$2"`
  writeFileSync(
    go,
    `#!/bin/sh\n[ "$1" = env ] && echo go1.26.4 && exit 0\nwhile [ "$1" != -o ]; do shift; done\n${cli}\n`,
  )
  chmodSync(go, 0o755)
  expect((await findTemporal(options(releases.site, 'auto'))).way).toBe('build')
})

test('a download that is no longer wanted ends at once and leaves nothing', async () => {
  const silent = createServer()
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const ending = new AbortController()
  setTimeout(() => ending.abort(new Error('Stopped.')), 100)
  const site = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  await expect(findTemporal({ ...options(site), signal: ending.signal })).rejects.toThrow('Stopped.')
  silent.close()
  expect(files()).toEqual(['temporal.lock'])
})
