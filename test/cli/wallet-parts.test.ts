// What a person keeps of a wallet from the command line: scopes, settings, and what of the history is looked at.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { json, startApiDouble, type ApiDouble } from '../support/api-double.ts'
import { signedInDesk, type Desk } from '../support/cli.ts'

let api: ApiDouble
let desk: Desk
beforeEach(async () => {
  api = await startApiDouble()
  desk = signedInDesk(api.url)
})
afterEach(() => api[Symbol.asyncDispose]())

const scoped = {
  id: 'scope-1',
  name: 'customer 7',
  status: 'active',
  budgetMicrousd: '5000000',
  spentMicrousd: '2800',
  enabledServerIds: ['everything'],
}

test('scopes are made, listed, changed, archived, and their servers switched', async () => {
  const line = 'scope-1 (customer 7): active, $5.00 in all, $0.0028 spent, tools of everything.\n'
  api.on('POST /wallet/runtime-scopes', json(scoped))
  expect((await desk.run(['scope', 'create', 'customer 7', '--budget', '5'])).out).toBe(line)
  expect(api.asked.at(-1)?.body).toEqual({ name: 'customer 7', budgetMicrousd: '5000000' })
  api.on('GET /wallet/runtime-scopes', json({ scopes: [scoped] }))
  expect((await desk.run(['scope', 'list'])).out).toMatch(/scope-1 +customer 7 +active +\$5\.00 +\$0\.0028 +everything/)
  api.on('PUT /wallet/runtime-scopes/scope-1', json(scoped))
  await desk.run(['scope', 'update', 'scope-1', '--budget', 'none', '--status', 'paused'])
  expect(api.asked.at(-1)?.body).toEqual({ budgetMicrousd: null, status: 'paused' })
  expect((await desk.run(['scope', 'update', 'scope-1'])).code).toBe(2)
  expect((await desk.run(['scope', 'update', 'scope-1', '--status', 'archived'])).code).toBe(2)
  api.on('DELETE /wallet/runtime-scopes/scope-1', json({ ...scoped, status: 'archived' }))
  expect(JSON.parse((await desk.run(['scope', 'archive', 'scope-1', '--json'])).out)).toMatchObject({
    status: 'archived',
  })
  for (const verb of ['enable', 'disable']) {
    api.on(`POST /wallet/runtime-scopes/scope-1/servers/everything/${verb}`, json(scoped))
    expect(await desk.run(['scope', verb, 'scope-1', 'everything'])).toMatchObject({ code: 0, out: line })
  }
})

test('settings are shown and set, and the history is filtered', async () => {
  api.on('GET /wallet/settings', json({ defaultModel: 'haiku', plan: null, autoImprove: false }))
  expect((await desk.run(['wallet', 'settings'])).out).toBe('defaultModel  haiku\nautoImprove   false\n')
  api.on('PUT /wallet/settings', json({ defaultModel: 'opus' }))
  await desk.run(['wallet', 'settings', 'defaultModel=opus', 'autoImprove=true', 'plan=null'])
  expect(api.asked.at(-1)?.body).toEqual({ defaultModel: 'opus', autoImprove: true, plan: null })
  expect((await desk.run(['wallet', 'settings', 'defaultModel'])).code).toBe(2)
  api.on('GET /wallet/transactions', json({ transactions: [], total: 0, hasMore: false }))
  await desk.run([
    'wallet',
    'transactions',
    '--type',
    'spend',
    '--agent',
    'assistant',
    '--since',
    '2026-01-01T00:00:00Z',
  ])
  expect(api.asked.at(-1)?.query.toString()).toBe('type=spend&agentId=assistant&since=2026-01-01T00%3A00%3A00Z')
})
