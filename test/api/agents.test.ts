// The public catalogue.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAgent } from '../../config/agents.ts'
import { createDoorRig, type DoorRig } from '../support/door-rig.ts'

let rig: DoorRig

beforeAll(async () => {
  rig = await createDoorRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const get = async (path: string) => {
  const reply = await fetch(`${rig.base}${path}`)
  return { status: reply.status, body: (await reply.json()) as Record<string, unknown> }
}

test.each(['nobody', '__proto__', 'toString', '..%2f..%2fpolicy', 'x'.repeat(200)])(
  'the agent %s is not found',
  async (id) => {
    expect(await get(`/agents/${id}`)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
  },
)

test('an id beyond its bound is refused, another method is not executed', async () => {
  expect((await get(`/agents/${'x'.repeat(201)}`)).status).toBe(400)
  expect((await fetch(`${rig.base}/agents`, { method: 'POST' })).status).toBe(405)
})

test.each([
  ['no front matter', 'You are.'],
  ['an unknown key', '---\nname: a\ntitle: A\ndescription: d\nmodel: haiku\nkey: secret\n---\nx'],
  ['too many steps', '---\nname: a\ntitle: A\ndescription: d\nmodel: haiku\nstepsMax: 51\n---\nx'],
])('a recipe with %s is refused by name', (_title, agent) => {
  expect(() => parseAgent({ id: 'odd', agent, skills: [] })).toThrow('agent odd')
})

test('the list shows what a session would get', async () => {
  const { status, body } = await get('/agents')
  expect(status).toBe(200)
  expect(body['agents']).toMatchObject([{ id: 'assistant', title: 'Assistant', model: 'scripted-1', skillsCount: 1 }])
})

test('the detail shows tools of the servers that answer, and hides those of one that is down', async () => {
  const { body } = await get('/agents/assistant')
  expect(body).toMatchObject({
    tools: [{ name: 'everything__echo', description: 'Says it again.' }],
    toolsCount: 1,
    skills: [{ name: 'arithmetic' }],
    mcpServers: ['everything', 'workbench'],
    pricing: { type: 'usage', currency: 'USD' },
  })
  expect(JSON.stringify(body)).not.toContain('You are the assistant')
})
