// The commands that look things up: what they print for people, what for programs, and where they look.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { json, refuse, sessionRow, startApiDouble, type ApiDouble } from '../support/api-double.ts'
import { createDesk, signedInDesk, stateDir, type Desk } from '../support/cli.ts'

let api: ApiDouble
let desk: Desk

beforeEach(async () => {
  api = await startApiDouble()
  desk = signedInDesk(api.url)
})

afterEach(() => api[Symbol.asyncDispose]())

const commands = [
  'login',
  'auth',
  'agents',
  'chat',
  'resume',
  'sessions',
  'wallet',
  'budget',
  'scope',
  'status',
  'link',
]

test.each([
  [['fly'], 'There is no command "fly"'],
  [['constructor'], 'There is no command'],
  [['wallet'], 'A word is missing; one of balance, transactions, settings, budgets, faucet is expected.'],
  [['wallet', 'burn'], '"burn" is unknown'],
  [['wallet', 'transactions', '--limit', '201'], '--limit takes a whole number up to 200.'],
  [['wallet', 'transactions', '--limit', 'x'], '--limit takes a whole number up to 200.'],
  [['budget', 'set', 'tool', 'x', 'daily', '1'], '<KIND> is one of wallet, scope, agent, session, reflection.'],
  [['budget', 'set', 'agent', 'x', 'hourly', '1'], '<PERIOD> is one of daily, weekly, monthly, total.'],
  [['budget', 'set', 'agent', 'x', 'daily', '1.0000001'], '<USD> is an amount'],
  [['budget', 'set', 'agent', 'x', 'daily'], '<USD> is missing.'],
  [['sessions', 'show'], '<ID> is missing.'],
  [['agents', 'describe', 'a', 'b'], '"b" is one word too many.'],
  [['agents', '--url', 'ftp://x'], '"ftp://x" is not an address'],
  [['agents', '--url', '127.0.0.1:4300'], 'it begins with http:// or https://'],
])('%j is a usage error', async (args, sentence) => {
  const ran = await desk.run(args)
  expect(ran).toMatchObject({ code: 2, out: '' })
  expect(ran.err).toContain(sentence)
  expect(api.asked).toEqual([])
})

test.each([
  [401, 3],
  [403, 4],
  [404, 5],
  [402, 6],
  [429, 7],
  [500, 8],
  [503, 8],
  [400, 2],
  [409, 1],
])('a %s exits with %s', async (status, code) => {
  api.on('GET /wallet/balance', refuse(status, 'X'))
  expect((await desk.run(['wallet', 'balance'])).code).toBe(code)
})

test('a reply outside the contract is unexpected', async () => {
  api.on('GET /wallet/balance', json({}))
  expect((await desk.run(['wallet', 'balance'])).code).toBe(1)
})

test.each(commands)('%s has a help text with examples, in all three ways', async (name) => {
  const { out, code } = await desk.run([name, '--help'])
  expect(code).toBe(0)
  expect(out).toMatch(new RegExp(`^Usage: gatehouse ${name}`))
  expect(out).toContain('\nExamples:\n')
  expect(out).toContain('npx --no gatehouse')
  expect(out).toContain('--json')
  expect((await desk.run(['help', name])).out).toBe(out)
  expect((await desk.run([name, '-h'])).out).toBe(out)
  expect(out.split('\n').filter((line) => line.length > 120)).toEqual([])
})

test('the help of all names every command', async () => {
  const { out } = await desk.run([])
  for (const name of commands) expect(out).toContain(`\n  ${name} `)
  expect((await desk.run(['--version'])).out).toBe('1.2.3\n')
})

test('agents are a table, and empty catalogues say so', async () => {
  const row = {
    id: 'assistant',
    name: 'assistant',
    title: 'Assistant',
    description: 'Helps.',
    model: 'haiku',
    skillsCount: 2,
  }
  api.on('GET /agents', json({ agents: [row, { id: 'x', name: 'X' }] }), json({ agents: [] }))
  expect((await desk.run(['agents'])).out).toBe(
    [
      'id         model  skills  description',
      'assistant  haiku  2       Helps.',
      'x                 0       X',
      '',
    ].join('\n'),
  )
  expect((await desk.run(['agents', 'list'])).out).toBe('There are no agents here.\n')
  expect(JSON.parse((await desk.run(['agents', '--json'])).out)).toEqual({ agents: [] })
})

test('an agent is described with its tools, skills and price', async () => {
  api.on(
    'GET /agents/assistant',
    json({
      id: 'assistant',
      name: 'assistant',
      title: 'Assistant',
      description: 'Helps.',
      model: 'haiku',
      tools: ['get-sum', { name: 'echo', description: 'Says it again.' }],
      skills: [{ name: 'sums', description: 'Adds.' }],
      pricing: { type: 'usage', amount: '0', description: 'By use.' },
    }),
  )
  expect((await desk.run(['agents', 'describe', 'assistant'])).out).toBe(
    [
      'Assistant',
      'Helps.',
      'id     assistant',
      'model  haiku',
      'price  By use.',
      '',
      'Tools',
      '  get-sum',
      '  echo     Says it again.',
      '',
      'Skills',
      '  sums  Adds.',
      '',
    ].join('\n'),
  )
})

test('the balance and the bill are in dollars for people, in micro-dollars for programs', async () => {
  const balance = { availableBalance: '4997200', reserved: '0', walletAddress: '0xaa' }
  api.on('GET /wallet/balance', json(balance))
  expect((await desk.run(['wallet', 'balance'])).out).toBe('available  $4.9972\nwallet     0xaa\n')
  expect(JSON.parse((await desk.run(['wallet', 'balance', '--json'])).out)).toEqual(balance)
  const createdAt = '2026-01-31T12:00:00.000Z'
  const rows = [
    { id: 2, type: 'spend', amount: '-2800', agentId: 'assistant', createdAt, balance: '4997200' },
    { id: 1, type: 'deposit', amount: '5000000', createdAt, balance: '5000000' },
  ]
  api.on('GET /wallet/transactions', json({ transactions: rows, total: 9, hasMore: true }))
  expect((await desk.run(['wallet', 'transactions', '--limit', '2'])).out).toBe(
    [
      'time (UTC)        type     amount    balance  agent',
      '2026-01-31 12:00  spend    -$0.0028  $4.9972  assistant',
      '2026-01-31 12:00  deposit  $5.00     $5.00',
      '2 of 9; go on with --offset.',
      '',
    ].join('\n'),
  )
  expect(api.asked.at(-1)?.query.toString()).toBe('limit=2')
  const bare = rows.map(({ balance: _balance, ...row }) => row)
  api.on('GET /wallet/transactions', json({ transactions: bare, total: 2, hasMore: false }))
  expect((await desk.run(['wallet', 'transactions'])).out).toMatch(/^time \(UTC\) +type +amount +agent\n/)
})

test('the faucet tells the new balance', async () => {
  api.on('POST /wallet/faucet', json({}))
  api.on('GET /wallet/balance', json({ availableBalance: '5000000' }))
  expect((await desk.run(['wallet', 'faucet'])).out).toBe('Balance: $5.00 of play money.\n')
})

test('sessions are listed, shown with their tools, and deleted', async () => {
  const messages = [
    { role: 'user', content: 'add' },
    {
      role: 'assistant',
      content: [
        { type: 'text', text: 'Well:' },
        { type: 'tool_use', id: 'c', name: 'get-sum', input: { a: 2 } },
        { type: 'tool_result', toolUseId: 'c', content: '42', isError: false },
      ],
    },
  ]
  api.on('GET /wallet/sessions', json({ sessions: [{ ...sessionRow, messageCount: 2, preview: 'add\nthem' }] }))
  api.on('GET /agents/assistant/sessions/session-1', json({ ...sessionRow, messages }))
  api.on('DELETE /agents/assistant/sessions/session-1', (response) => response.writeHead(204).end())
  expect((await desk.run(['sessions'])).out).toContain('session-1  assistant  2026-01-31 12:00   2         add them\n')
  expect((await desk.run(['sessions', 'show', 'session-1'])).out).toContain(
    '\nuser\nadd\n\nassistant\nWell:\n→ get-sum {"a":2}\n← 42\n',
  )
  const gone = await desk.run(['sessions', 'delete', 'session-1', '--agent', 'assistant', '--json'])
  expect(JSON.parse(gone.out)).toEqual({ deleted: 'session-1' })
})

test('a link is alone on the output, the warning beside it', async () => {
  api.on('POST /auth/link', json({ url: 'http://127.0.0.1:4300/auth/link/code', expiresIn: 60 }))
  const ran = await desk.run(['link'])
  expect(ran.out).toBe('http://127.0.0.1:4300/auth/link/code\n')
  expect(ran.err).toContain('within 60 s')
})

test('status tells where everything is, without the secret', async () => {
  api.on('GET /health', json({ status: 'ok' }))
  const run = {
    ready: true,
    api: [api.url],
    databaseUrl: 'postgres://secret',
    temporalUi: 'http://127.0.0.1:8233',
    pids: { api: [7] },
  }
  desk.files.set(`${stateDir}/run.json`, JSON.stringify(run))
  const { databaseUrl: _secret, ...shown } = run
  expect(JSON.parse((await desk.run(['status', '--json'])).out)).toMatchObject(shown)
  const ran = await desk.run(['status'])
  expect(ran.out).toBe(`API          ${api.url}\nTemporal UI  http://127.0.0.1:8233\nserving      yes\n`)
  expect((await desk.run(['status', '--json'])).out).not.toContain('secret')
})

test('status of a run file whose process is gone is an error', async () => {
  desk.files.set(`${stateDir}/run.json`, JSON.stringify({ api: ['http://127.0.0.1:1'] }))
  expect((await desk.run(['status'])).code).toBe(8)
})

test('the address is the option, else the variable, else what runs here, else the default port', async () => {
  const seen: string[] = []
  const spy = async (url: string) => {
    seen.push(url)
    return new Response('{"agents":[]}')
  }
  const empty = createDesk()
  await desk.run(['agents', '--url', 'http://one'], { fetch: spy, url: 'http://two' })
  await desk.run(['agents'], { fetch: spy, url: 'http://two/' })
  await desk.run(['agents'], { fetch: spy })
  await empty.run(['agents'], { fetch: spy })
  expect(seen).toEqual(['http://one/agents', 'http://two/agents', `${api.url}/agents`, 'http://127.0.0.1:4300/agents'])
})

const budget = {
  subject: { kind: 'agent', id: 'assistant' },
  period: 'daily',
  limitMicroUsd: '500000',
  spentMicroUsd: '2800',
  reservedMicroUsd: '0',
  resetsAt: '2026-11-25T00:00:00.000Z',
}

test('budgets are set in dollars, shown and removed', async () => {
  api.on('PUT /wallet/budgets/agent/assistant', json(budget))
  const set = await desk.run(['budget', 'set', 'agent', 'assistant', 'daily', '0.5'])
  expect(set).toMatchObject({ code: 0, out: 'agent assistant: $0.50 daily, $0.0028 of it spent.\n' })
  expect(api.asked.at(-1)).toMatchObject({ body: { period: 'daily', limitMicroUsd: '500000' } })
  api.on('GET /wallet/budgets', json({ budgets: [budget] }))
  const listed = await desk.run(['budget', 'list'])
  expect(listed.out).toMatch(/agent +assistant +daily +\$0\.50 +\$0\.0028 +\$0\.00/)
  expect((await desk.run(['wallet', 'budgets'])).out).toBe(listed.out)
  api.on('DELETE /wallet/budgets/agent/assistant/daily', json({ success: true }))
  expect(await desk.run(['budget', 'remove', 'agent', 'assistant', 'daily'])).toMatchObject({
    code: 0,
    out: 'Removed.\n',
  })
})
