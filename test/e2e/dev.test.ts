// `npm run dev`: what changed is restarted and nothing else; and a start that is stopped before it is ready.
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, inject, test } from 'vitest'
import { isAlive, scrubbedEnvironment, startInstallation, until, type Installation } from '../support/installation.ts'
import { root } from '../support/house-rules.ts'

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-dev-'))
let house: Installation | undefined
afterAll(async () => {
  await house?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
}, 30_000)

type Pids = Readonly<
  Record<'api' | 'durable' | 'model' | 'tools' | 'postgres' | 'temporal', number | readonly number[]>
>

test('a changed file restarts its part alone, and Ctrl-C ends all of it', async () => {
  house = await startInstallation({ entry: 'dev' })
  const { run, output, interrupt, stateDir } = house
  const pids = async () => (await run()).pids as unknown as Pids
  const changedBy = async (path: string, parts: readonly (keyof Pids)[]) => {
    const before = await pids()
    utimesSync(join(root, path), new Date(), new Date())
    await until(async () => {
      const now = await pids()
      return parts.every((part) => String(now[part]) !== String(before[part]))
    }, 30_000)
    const after = await pids()
    const names = Object.keys(before) as (keyof Pids)[]
    return names.filter((name) => String(after[name]) !== String(before[name]))
  }
  expect(await changedBy('api/health.ts', ['api'])).toEqual(['api'])
  expect(output()).toContain('Changed: api/health.ts. Restarting api.')
  expect(await changedBy('workers/local/tool-server.ts', ['tools'])).toEqual(['tools'])
  expect((await fetch(`${(await run()).api[0]}/ready`)).status).toBe(200)
  const last = await pids()
  expect(await interrupt()).toMatchObject({ code: 0, out: expect.stringMatching(/Stopping …\nStopped\.\n$/) })
  expect(Object.values(last).flat().filter(isAlive)).toEqual([])
  expect(existsSync(join(stateDir, 'run.json'))).toBe(false)
}, 120_000)

test('a start that is stopped while it builds ends at once, whatever else it is told, and leaves nothing', async () => {
  const bin = join(folder, 'bin')
  const state = join(folder, 'state')
  mkdirSync(bin)
  const go = join(bin, 'go')
  writeFileSync(
    go,
    `#!/bin/sh\n[ "$1" = env ] && echo go1.26.4 && exit 0\necho $$ > ${folder}/building\nexec sleep 60\n`,
  )
  chmodSync(go, 0o755)
  const child = spawn(process.execPath, ['scripts/bootstrap.mjs', 'workers/start.ts'], {
    cwd: root,
    env: scrubbedEnvironment({
      PATH: `${bin}:/usr/bin:/bin`,
      XDG_CACHE_HOME: join(folder, 'cache'),
      GATEHOUSE_TEMPORAL: 'build',
      GATEHOUSE_STATE_DIR: state,
      GATEHOUSE_PORT: String(20_000 + Math.floor(Math.random() * 20_000)),
      DATABASE_URL: inject('postgresUrl'),
    }),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  await until(() => existsSync(join(folder, 'building')), 20_000)
  const startedAt = performance.now()
  // A terminal that closes tells the whole group, and the bootstrap passes on what it was told.
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGHUP', 'SIGTERM'] as const) {
    child.kill(signal)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(await ended).toBe(130)
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  expect(out).toMatch(/Stopping …\nStopped\.\n$/)
  expect(existsSync(join(state, 'temporal.mark')) || existsSync(join(state, 'run.json'))).toBe(false)
}, 60_000)
