// What `npm run dev` sees of a change, and what it restarts for it.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { followChanges, marksOf } from '../../workers/local/changes.ts'
import { partFolders, touchedBy } from '../../workers/local/parts.ts'
import { plan, pseudoRooms, sheds } from '../support/house-plan.ts'
import { until } from '../support/installation.ts'

const root = mkdtempSync(join(tmpdir(), 'gatehouse-changes-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

test('a file that is replaced in one step is seen every time, a burst once, other files never', async () => {
  const seen: (readonly string[])[] = []
  mkdirSync(join(root, 'api/v1'), { recursive: true })
  const write = (path: string, text: string) => {
    writeFileSync(join(root, `${path}.draft`), text)
    renameSync(join(root, `${path}.draft`), join(root, path))
  }
  write('api/v1/a.ts', '0')
  write('api/v1/b.ts', '0')
  const looked = { root, folders: ['api', 'absent'] }
  const since = await marksOf(looked)
  write('api/v1/a.ts', 'saved before anybody followed')
  const following = followChanges({ ...looked, since, onChanged: (paths) => seen.push(paths) })
  for (const round of [1, 2, 3]) {
    if (round > 1) write('api/v1/a.ts', `round ${round}`)
    await until(() => seen.length === round, 5_000)
  }
  write('api/v1/README.md', 'words')
  write('api/v1/picture.png', 'x')
  mkdirSync(join(root, 'api/new'))
  write('api/new/c.ts', '1')
  write('api/v1/b.ts', '1')
  rmSync(join(root, 'api/v1/a.ts'))
  await until(() => seen.length === 4, 5_000)
  await following.stop()
  expect(seen).toEqual([
    ...Array.from({ length: 3 }, () => ['api/v1/a.ts']),
    ['api/new/c.ts', 'api/v1/a.ts', 'api/v1/b.ts'],
  ])
})

test.each([
  [['api/health.ts'], ['api']],
  [['activities/tool.ts'], ['durable']],
  [['workflows/agent-turn.ts'], ['durable']],
  [['workflows/contract.ts'], ['api', 'durable']],
  [['domain/money.ts'], ['api', 'durable']],
  [['agents/assistant/agent.md'], ['api', 'durable']],
  [['db/migrations/0001-ledger.sql'], ['database', 'api', 'durable']],
  [['workers/local/scripted-answer.ts'], ['model']],
  [['workers/local/tool-server.ts'], ['tools']],
  [['workers/local/loopback.ts'], ['model', 'tools']],
  [['workers/local/supervisor.ts'], ['supervisor']],
  [['workers/doctor.ts', 'workers/cli.ts'], []],
  [['workers/services.ts'], ['api', 'durable']],
  [
    ['workers/api-server.ts', 'workers/durable-worker.ts', 'api/app.ts'],
    ['api', 'durable'],
  ],
])('%j touches %j', (paths, touched) => {
  expect([...touchedBy(paths)]).toEqual(touched)
})

test('every room that runs is followed', () => {
  const besides = ['sdk', 'cli', 'web', ...sheds, ...Object.values(pseudoRooms)]
  const running = Object.keys(plan).filter((room) => !besides.includes(room))
  expect(partFolders).toEqual(expect.arrayContaining(running))
})
