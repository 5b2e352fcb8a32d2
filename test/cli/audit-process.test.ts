// Evidence through the real process: files and offsets on disk, quiet output, and a run that is killed in the middle.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEvidenceRig, type EvidenceRig, type Witness } from '../support/evidence-rig.ts'
import { scrubbedEnvironment, until } from '../support/installation.ts'
import { startSinkDouble } from '../support/sink-double.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
let rig: EvidenceRig
let owner: Witness
let folder: string

beforeAll(async () => {
  rig = await createEvidenceRig()
  owner = await rig.join()
  await owner.act(3)
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-audit-'))
  mkdirSync(join(folder, 'gatehouse'))
  const expiresAt = '2999-01-31T12:00:00Z'
  const stored = { kind: 'session', token: owner.token, expiresAt, walletAddress: '0xaa', keyFile: '/k' }
  writeFileSync(join(folder, 'gatehouse/credentials.json'), JSON.stringify({ [rig.api.url]: stored }))
})
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await rig?.[Symbol.asyncDispose]()
})

function start(...args: readonly string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'workers/cli.ts', 'audit', ...args], {
    cwd: root,
    env: scrubbedEnvironment({
      XDG_CONFIG_HOME: folder,
      GATEHOUSE_STATE_DIR: folder,
      GATEHOUSE_URL: rig.api.url,
    }),
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  return { child, said, ended }
}

test('an export on disk verifies, and nothing is said beside the verdict', async () => {
  const file = join(folder, 'export.ndjson')
  const keys = start('keys')
  const exporting = start('export', '--after', '0', '--output', file)
  expect([await keys.ended, await exporting.ended]).toEqual([0, 0])
  writeFileSync(join(folder, 'keys.json'), keys.said.out)
  const { said, ended } = start('verify', file, '--keys', join(folder, 'keys.json'))
  expect([await ended, said.err]).toEqual([0, ''])
  expect(said.out).toMatch(/: 3 original records \(1 to 3\) of 0x[0-9a-f]{40} stand, /)
})

test('an upload that is killed while its answer is awaited is taken up: no gap, nothing twice', async () => {
  await using sink = await startSinkDouble()
  const words = ['upload', '--to', `${sink.url}/upload-url`, '--state', join(folder, 'offset')]
  sink.next('put', 'hang-after')
  const first = start(...words)
  await until(() => sink.files.size === 1, 15_000)
  first.child.kill('SIGKILL')
  expect(await first.ended).toBeNull()
  expect(JSON.parse(readFileSync(join(folder, 'offset'), 'utf8'))).toMatchObject({ seq: 0, pending: { to: 3 } })
  await owner.act(2)
  const second = start(...words)
  expect([await second.ended, second.said.err]).toEqual([0, ''])
  expect(second.said.out).toBe('5 records sent; the sink has the chain up to record 5.\n')
  const seqs = [...sink.files.values()].flatMap((text) =>
    text
      .trimEnd()
      .split('\n')
      .slice(1, -1)
      .map((line) => (JSON.parse(line) as { seq: number }).seq),
  )
  expect(seqs).toEqual([1, 2, 3, 4, 5])
})
