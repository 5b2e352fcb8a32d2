// Settings of a wallet: merged key by key, closed to what nobody knows, and obeyed where they mean something.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDoorRig, type DoorRig } from '../support/door-rig.ts'

let rig: DoorRig

beforeAll(async () => {
  rig = await createDoorRig()
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
})

const path = '/wallet/settings'
const bodyOf = async (reply: Response) => (await reply.json()) as Record<string, unknown>

test.each([
  [{}, 'VALIDATION_ERROR'],
  [{ colour: 'red' }, 'VALIDATION_ERROR'],
  [{ plan: 'gold' }, 'VALIDATION_ERROR'],
  [{ anthropicApiKeyConfigured: true }, 'VALIDATION_ERROR'],
  [{ conversationRetentionDays: 0 }, 'VALIDATION_ERROR'],
  [{ favoriteAgentIds: 'assistant' }, 'VALIDATION_ERROR'],
  [{ minimumBalanceMicroUsd: '-1' }, 'VALIDATION_ERROR'],
  [{ executionEngine: 'codex' }, 'VALIDATION_ERROR'],
  [{ improveSchedule: 'daily', selfImprovementSchedule: 'weekly' }, 'VALIDATION_ERROR'],
  [{ defaultModel: 'nothing-9' }, 'UNKNOWN_MODEL'],
])('%j is refused', async (body, code) => {
  const person = await rig.signIn()
  const before = await bodyOf(await person.call('GET', path))
  const reply = await person.call('PUT', path, { body })
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([400, code])
  expect(await bodyOf(await person.call('GET', path))).toEqual(before)
})

test('reading does not permit setting', async () => {
  const reader = await rig.signIn({ permissions: ['wallet:read'] })
  expect((await reader.call('GET', path)).status).toBe(200)
  expect((await reader.call('PUT', path, { body: { autoImprove: true } })).status).toBe(403)
})

test('keys are merged, also at once; null unsets; both names of the schedule say the same', async () => {
  const person = await rig.signIn()
  await Promise.all(
    [{ plan: 'anthropic_byok' }, { favoriteAgentIds: ['assistant'] }, { improveSchedule: 'daily' }].map((body) =>
      person.call('PUT', path, { body }),
    ),
  )
  const expected = { plan: 'anthropic_byok', favoriteAgentIds: ['assistant'], anthropicApiKeyConfigured: false }
  const schedule = { improveSchedule: 'daily', selfImprovementSchedule: 'daily' }
  expect(await bodyOf(await person.call('GET', path))).toMatchObject({ ...expected, ...schedule, defaultModel: null })
  const cleared = await bodyOf(await person.call('PUT', path, { body: { plan: null } }))
  expect(cleared).toMatchObject({ ...expected, plan: null })
})

test('a minimum balance is obeyed by the next turn, and a default model by the next session', async () => {
  const person = await rig.signIn({ funds: 1_000_000n })
  await person.call('PUT', path, { body: { minimumBalanceMicroUsd: 1_000_000, defaultModel: 'claude-haiku-5-5' } })
  const session = await bodyOf(await person.call('POST', '/agents/assistant/sessions', { body: {} }))
  expect(session['model']).toBe('claude-haiku-5-5')
  const chat = `/agents/assistant/sessions/${String(session['id'])}/chat`
  const reply = await person.call('POST', chat, { body: { message: 'hello' } })
  expect([reply.status, (await bodyOf(reply))['code']]).toEqual([402, 'MINIMUM_BALANCE'])
})
