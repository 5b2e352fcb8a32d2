// `gatehouse agents` for agents of the person's own: what is refused before anything is sent, what is sent, what is said.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { json, refuse, startApiDouble, type ApiDouble } from '../support/api-double.ts'
import { signedInDesk, type Desk } from '../support/cli.ts'

let api: ApiDouble
let desk: Desk
const file = (name: string, text: string) => {
  desk.files.set(`/here/${name}`, text)
  return name
}

beforeEach(async () => {
  api = await startApiDouble()
  desk = signedInDesk(api.url)
})
afterEach(() => api[Symbol.asyncDispose]())

const clerk = { id: 'clerk', name: 'Clerk', mcp_servers: ['everything'] }
const stored = {
  agentId: 'clerk-0a1b2c',
  version: 2,
  createdAt: '2026-01-31T12:00:00.000Z',
  updatedAt: '2026-01-31T12:00:00.000Z',
  definition: { ...clerk, systemPrompt: 'Be brief.' },
  tools: [{ name: 'everything__echo', description: 'Says it again.' }],
}

test('a file that is not there, is no JSON or holds no definition is a usage error, and nothing is asked', async () => {
  for (const [path, sentence] of [
    ['absent.json', 'There is no file'],
    [file('broken.json', '{'), 'is not JSON'],
    [file('list.json', '[]'), 'holds no definition'],
  ] as const) {
    const ran = await desk.run(['agents', 'create', path])
    expect(ran).toMatchObject({ code: 2, out: '' })
    expect(ran.err).toContain(sentence)
  }
  expect(api.asked).toEqual([])
})

test('create sends the definition with the texts of its files', async () => {
  api.on('POST /agents/custom', json({ agentId: 'clerk-0a1b2c', agentName: 'Clerk', version: 1 }))
  const words = [
    file('clerk.json', JSON.stringify(clerk)),
    '--prompt',
    file('p.md', 'Be brief.'),
    '--routing',
    file('r.md', 'R'),
  ]
  expect(await desk.run(['agents', 'create', ...words])).toMatchObject({
    code: 0,
    out: 'clerk-0a1b2c, version 1.\nTalk to it: npx --no gatehouse chat clerk-0a1b2c\n',
  })
  expect(api.to('POST /agents/custom')[0]?.body).toEqual({
    definition: { ...clerk, systemPrompt: 'Be brief.', routing: 'R' },
  })
})

test('update makes no other agent of a misspelt id', async () => {
  api.on('GET /agents/custom/clerk', refuse(404, 'NOT_FOUND'))
  expect((await desk.run(['agents', 'update', file('clerk.json', JSON.stringify(clerk))])).code).toBe(5)
  expect(api.to('POST /agents/custom')).toEqual([])
})

test('an agent is shown with its version and tools, and verified against them', async () => {
  api.on('GET /agents/custom/clerk-0a1b2c', json(stored))
  const servers = [{ serverId: 'everything', name: 'everything', required: [] }]
  const requirements = { agentId: 'clerk-0a1b2c', servers, totalRequired: 0 }
  api.on('GET /agents/clerk-0a1b2c/mcp-requirements', json(requirements))
  expect((await desk.run(['agents', 'show', 'clerk-0a1b2c'])).out).toBe(
    'Clerk\nid       clerk-0a1b2c\nversion  2\ntools    everything__echo\n\nBe brief.\n',
  )
  expect(await desk.run(['agents', 'verify', 'clerk-0a1b2c'])).toMatchObject({
    code: 0,
    out: 'clerk-0a1b2c is ready.\n',
  })
  api.on('GET /agents/custom/clerk-0a1b2c', json({ ...stored, tools: [] }))
  const ran = await desk.run(['agents', 'verify', 'clerk-0a1b2c', '--json'])
  expect(ran.code).toBe(4)
  expect(JSON.parse(ran.out)).toEqual({ agentId: 'clerk-0a1b2c', ready: false, faults: ['everything shows no tool.'] })
})

test('own agents are a table, and one is forgotten', async () => {
  const { definition: _definition, tools: _tools, ...row } = stored
  api.on(
    'GET /wallet/agents',
    json({ agents: [{ ...row, name: 'Clerk', title: 'The clerk' }], total: 1, hasMore: false }),
  )
  expect((await desk.run(['agents', 'own'])).out).toBe(
    'id            version  title\nclerk-0a1b2c  2        The clerk\n',
  )
  api.on('DELETE /agents/custom/clerk-0a1b2c', json({ success: true }))
  expect((await desk.run(['agents', 'delete', 'clerk-0a1b2c'])).out).toBe('The agent is forgotten.\n')
})
