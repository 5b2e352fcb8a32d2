// A turn with an agent that its owner made: its words, its tools and no others, and the version that the turn began with.
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ModelRequest } from '../../schemas/model.ts'
import { ask, createTurnRig, say, type OpenedTurn, type TurnRig } from '../support/turn-rig.ts'

let rig: TurnRig
beforeAll(async () => {
  rig = await createTurnRig()
})
afterAll(async () => rig[Symbol.asyncDispose]())

const run = <T>(work: () => Promise<T>) =>
  new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(work)
const id = 'clerk-0a1b2c'
const definition = {
  id: 'clerk',
  name: 'Clerk',
  mcp_servers: ['everything', 'workbench'],
  tools: ['everything/get-*'],
  systemPrompt: 'You are brief.',
  routing: 'Sums are for sums.',
  skills: [{ name: 'sums', title: 'Sums', description: 'Adds.', text: 'Add.' }],
  outputTokensMax: 17,
  stepsMax: 2,
}

async function write(turn: OpenedTurn, version: number, text: object): Promise<void> {
  const { pool } = rig.database
  await pool.query(
    `INSERT INTO custom_agent (id, wallet_id, base_id, version) VALUES ($1, $2, 'clerk', $3) ON CONFLICT (id) DO UPDATE SET version = $3`,
    [id, turn.labels.walletId, version],
  )
  await pool.query('INSERT INTO custom_agent_version (agent_id, version, definition) VALUES ($1, $2, $3)', [
    ...[id, version, JSON.stringify(text)],
  ])
}

test('an agent has its own words, tools and bounds, as they were when the turn began', async () => {
  const turn = await rig.openTurn('hello')
  await write(turn, 1, definition)
  await write(turn, 2, { ...definition, systemPrompt: 'You are long.', tools: ['workbench/*'] })
  const { pool } = rig.database
  await pool.query('UPDATE chat_session SET agent_id = $2 WHERE id = $1', [turn.sessionId, id])
  await pool.query(`UPDATE turn SET admission = admission || '{"agentVersion": 1}' WHERE id = $1`, [turn.turnId])
  const asked: ModelRequest[] = []
  const call = { id: 'toolu_1', name: 'workbench__write_note', input: {} }
  rig.model = (request) => {
    asked.push(request)
    return asked.length === 1 ? ask([call]) : say('done')
  }
  const ref = (step: number) => ({ turnId: turn.turnId, try: 1, step })
  expect(await run(() => rig.activities.callModel(ref(1)))).toMatchObject({ kind: 'tools' })
  await run(() => rig.activities.callTool({ ...ref(1), toolCallId: 'toolu_1', position: 0 }))
  expect(await run(() => rig.activities.callModel(ref(2)))).toEqual({ kind: 'final' })
  expect(asked[0]).toMatchObject({ system: 'You are brief.\n\nSums are for sums.\n\n## Sums\nAdd.', maxTokens: 17 })
  expect(asked.map(({ tools }) => tools.map(({ name }) => name))).toEqual([
    ['everything__get-sum'],
    ['everything__get-sum'],
  ])
  expect(JSON.stringify(asked[1]?.messages)).toContain('tool-unknown: there is no tool workbench__write_note here.')
  expect(await run(() => rig.activities.callModel(ref(3)))).toMatchObject({ kind: 'stopped' })
})
