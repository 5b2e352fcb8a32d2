// Agents that people make: refused definitions first, then who may see them, and that the next turn runs by the change.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDoorRig, type DoorRig, type Person } from '../support/door-rig.ts'

let rig: DoorRig
let owner: Person

beforeAll(async () => {
  rig = await createDoorRig()
  owner = await rig.signIn()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const clerk = { id: 'clerk', name: 'Clerk', mcp_servers: ['everything'], systemPrompt: 'You are brief.' }
const save = (person: Person, definition: unknown) => person.call('POST', '/agents/custom', { body: { definition } })
const json = async (reply: Response) => ({
  status: reply.status,
  body: (await reply.json()) as Record<string, unknown>,
})
const savedId = async (person: Person, definition: object = clerk) =>
  String((await json(await save(person, definition))).body['agentId'])

test.each([
  ['no id', { name: 'Clerk' }],
  ['an id with a slash', { ...clerk, id: 'a/b' }],
  ['an id of 65 letters', { ...clerk, id: 'a'.repeat(65) }],
  ['no name', { id: 'clerk' }],
  ['an unknown key', { ...clerk, apiKey: 'x' }],
  ['a built-in tool, of which there are none', { ...clerk, builtin_tools: ['Bash'] }],
  ['a tool of a server that it does not name', { ...clerk, tools: ['workbench/*'] }],
  ['a tool without a server', { ...clerk, tools: ['echo'] }],
  ['a server that is not there', { ...clerk, mcp_servers: ['nowhere'] }],
  ['too long a prompt', { ...clerk, systemPrompt: 'é'.repeat(64_001) }],
  [
    'two skills of one name',
    { ...clerk, skills: [1, 2].map(() => ({ name: 's', title: 'S', description: '', text: '' })) },
  ],
  ['more steps than a turn has', { ...clerk, stepsMax: 51 }],
  ['a NUL', { ...clerk, systemPrompt: 'a\0b' }],
  ['metadata beyond its bound', { ...clerk, metadata: { note: 'x'.repeat(16_001) } }],
])('a definition with %s is refused and nothing is kept', async (_title, definition) => {
  expect(await json(await save(owner, definition))).toMatchObject({ status: 400 })
  expect((await json(await owner.call('GET', '/wallet/agents'))).body).toMatchObject({ total: 0, agents: [] })
})

test('a model without a price is refused by its name', async () => {
  expect(await json(await save(owner, { ...clerk, model: 'nobody-1' }))).toMatchObject({
    status: 400,
    body: { code: 'UNKNOWN_MODEL', model: 'nobody-1' },
  })
})

test('nobody else finds an agent: not its definition, its requirements, its sessions, nor may he forget it', async () => {
  const person = await rig.signIn()
  const stranger = await rig.signIn()
  const id = await savedId(person)
  for (const [method, path] of [
    ['GET', `/agents/custom/${id}`],
    ['DELETE', `/agents/custom/${id}`],
    ['GET', `/agents/${id}/mcp-requirements`],
    ['GET', `/agents/${id}/sessions`],
  ] as const)
    expect((await stranger.call(method, path)).status).toBe(404)
  expect((await stranger.call('POST', `/agents/${id}/sessions`, { body: { model: 'haiku' } })).status).toBe(404)
  expect(
    (await stranger.call('PUT', `/wallet/budgets/agent/${id}`, { body: { period: 'daily', limitMicroUsd: '1' } }))
      .status,
  ).toBe(404)
  expect((await person.call('GET', `/agents/custom/${id}`)).status).toBe(200)
  expect(await savedId(stranger)).not.toBe(id)
})

test('the same id again is the same agent, by its name or its whole id, and after it was forgotten', async () => {
  const person = await rig.signIn()
  const first = await json(await save(person, clerk))
  expect(first).toMatchObject({ status: 200, body: { agentName: 'Clerk', version: 1 } })
  const id = String(first.body['agentId'])
  expect(id).toMatch(/^clerk-[0-9a-f]{6}$/)
  expect((await json(await save(person, { ...clerk, title: 'The clerk' }))).body).toMatchObject({
    agentId: id,
    version: 2,
  })
  expect((await json(await save(person, { ...clerk, id }))).body).toMatchObject({ agentId: id, version: 3 })
  expect((await json(await person.call('DELETE', `/agents/custom/${id}`))).status).toBe(200)
  for (const method of ['GET', 'DELETE']) expect((await person.call(method, `/agents/custom/${id}`)).status).toBe(404)
  expect((await json(await save(person, clerk))).body).toMatchObject({ agentId: id, version: 4 })
})

test('two changes at once are two versions of one agent', async () => {
  const person = await rig.signIn()
  const saved = await Promise.all([1, 2, 3, 4].map(() => save(person, clerk).then(json)))
  expect(new Set(saved.map(({ body }) => body['agentId'])).size).toBe(1)
  expect(new Set(saved.map(({ body }) => body['version']))).toEqual(new Set([1, 2, 3, 4]))
})

test('a wallet has a bounded number of agents, and a change is not a new one', async () => {
  const person = await rig.signIn()
  await rig.pool.query(
    `INSERT INTO custom_agent (id, wallet_id, base_id, version) SELECT 'filled-' || n, $1, 'filled-' || n, 1 FROM generate_series(1, 49) n`,
    [person.principal.walletId],
  )
  expect((await save(person, clerk)).status).toBe(200)
  expect(await json(await save(person, { ...clerk, id: 'one-more' }))).toMatchObject({
    status: 409,
    body: { code: 'AGENT_LIMIT' },
  })
  expect((await save(person, clerk)).status).toBe(200)
})

test('the definition comes back as it was sent, with the tools that it leads to', async () => {
  const person = await rig.signIn()
  const whole = {
    ...clerk,
    tools: ['everything/ec*'],
    routing: 'Sums are for the skill of sums.',
    skills: [{ name: 'sums', title: 'Sums', description: 'Adds.', text: 'Add.' }],
    metadata: { team: 'books' },
  }
  const id = await savedId(person, whole)
  expect((await json(await person.call('GET', `/agents/custom/${id}`))).body).toMatchObject({
    agentId: id,
    definition: whole,
    tools: [{ name: 'everything__echo' }],
  })
  const none = await savedId(person, { ...whole, tools: [] })
  expect((await json(await person.call('GET', `/agents/custom/${none}`))).body).toMatchObject({ tools: [] })
  expect((await json(await person.call('GET', `/agents/${id}/mcp-requirements`))).body).toEqual({
    agentId: id,
    servers: [{ serverId: 'everything', name: 'everything', required: [] }],
    totalRequired: 0,
  })
})

test('a change is decided and on record, and an agent cannot make one', async () => {
  const person = await rig.signIn()
  const id = await savedId(person)
  await rig.evidence.drain()
  const { rows } = await rig.pool.query('SELECT body FROM audit_record WHERE tenant = $1 ORDER BY seq', [
    person.principal.tenant,
  ])
  const records = rows.map(({ body }) => JSON.parse(String(body)) as Record<string, unknown>)
  expect(records.at(-1)).toMatchObject({ tool: null, status: 'admitted' })
  expect(JSON.stringify(records.at(-1))).toContain(id)
  const agent = await rig.signIn({ actorChain: [{ kind: 'agent', id: 'assistant' }] })
  expect(await json(await save(agent, clerk))).toMatchObject({ status: 403, body: { code: 'POLICY_REFUSED' } })
})

test('a turn keeps the version that it began with; the next one has the change', async () => {
  const person = await rig.signIn({ funds: 10_000_000n })
  const id = await savedId(person)
  const opened = await json(await person.call('POST', `/agents/${id}/sessions`, { body: { model: 'haiku' } }))
  expect(opened).toMatchObject({ status: 200, body: { agentId: id } })
  const versions = async () => {
    const { rows } = await rig.pool.query(
      "SELECT admission->'agentVersion' AS version FROM turn WHERE session_id = $1 ORDER BY ordinal",
      [opened.body['id']],
    )
    return rows.map(({ version }) => Number(version))
  }
  rig.submit = async () => ({ kind: 'refused', code: 'session-draining' })
  const ask = (message: string) =>
    person.call('POST', `/agents/${id}/sessions/${String(opened.body['id'])}/chat`, { body: { message } })
  await ask('one')
  await save(person, { ...clerk, systemPrompt: 'You are long.' })
  await ask('two')
  expect(await versions()).toEqual([1, 2])
})
