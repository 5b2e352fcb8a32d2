// A turn inside a runtime scope: which tools it is shown and may call, and what stops it in the middle.
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask, createTurnRig, say, type OpenedTurn, type TurnRig } from '../support/turn-rig.ts'

let rig: TurnRig
beforeAll(async () => {
  rig = await createTurnRig()
})
afterAll(async () => rig[Symbol.asyncDispose]())

const environment = () => new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') })
const callModel = ({ turnId }: OpenedTurn, step = 1) =>
  environment().run(() => rig.activities.callModel({ turnId, try: 1, step }))
const callTool = ({ turnId }: OpenedTurn, toolCallId: string, position: number) =>
  environment().run(() => rig.activities.callTool({ turnId, try: 1, step: 1, toolCallId, position }))
const sum = { name: 'everything__get-sum', input: { a: 2, b: 40 } }

async function openScoped(serverIds: readonly string[]): Promise<OpenedTurn & { readonly scopeId: string }> {
  const turn = await rig.openTurn('add')
  const scopeId = randomUUID()
  await rig.ledger.query(
    "INSERT INTO runtime_scope (id, wallet_id, name, server_ids) SELECT $1, id, 'x', $3 FROM wallet WHERE address = $2",
    [scopeId, turn.wallet, serverIds],
  )
  await rig.ledger.query(
    "UPDATE turn SET admission = admission || jsonb_build_object('runtimeScopeId', $2::text) WHERE id = $1",
    [turn.turnId, scopeId],
  )
  return { ...turn, scopeId }
}

test('a scope without servers shows no tool, and a model that names one all the same is told there is none', async () => {
  const turn = await openScoped([])
  let shown: readonly string[] = ['?']
  rig.model = (request) => {
    shown = request.tools.map(({ name }) => name)
    return ask([{ ...sum, id: 'toolu_1' }])
  }
  await callModel(turn)
  expect(shown).toEqual([])
  rig.tool = () => Promise.reject(new Error('The tool must not be called.'))
  await callTool(turn, 'toolu_1', 0)
  const [row] = await rig.messages(turn.turnId, 'tool')
  expect(JSON.stringify(row?.content)).toContain('tool-unknown')
})

test('a server that is disabled in the middle of a turn is called no more; holds and postings name the scope', async () => {
  const turn = await openScoped(['everything'])
  let shown: readonly string[] = []
  rig.model = (request) => {
    shown = request.tools.map(({ name }) => name)
    return ask([
      { ...sum, id: 'toolu_1' },
      { ...sum, id: 'toolu_2' },
    ])
  }
  await callModel(turn)
  expect(shown).toEqual(['everything__get-sum'])
  let calls = 0
  rig.tool = async () => {
    calls += 1
    return { text: '42', isError: false }
  }
  await callTool(turn, 'toolu_1', 0)
  await rig.ledger.query("UPDATE runtime_scope SET server_ids = '{}' WHERE id = $1", [turn.scopeId])
  await callTool(turn, 'toolu_2', 1)
  expect(calls).toBe(1)
  const named = await rig.ledger.query("SELECT op, code FROM transfer WHERE meta->>'scopeId' = $1 ORDER BY seq", [
    turn.scopeId,
  ])
  expect(named).toEqual([
    { op: 'pending', code: 11 },
    { op: 'post', code: 11 },
  ])
})

test('a scope that is paused in the middle of a turn ends it before the next call', async () => {
  const turn = await openScoped(['everything'])
  rig.model = () => ask([{ ...sum, id: 'toolu_1' }])
  await callModel(turn)
  await rig.ledger.query("UPDATE runtime_scope SET status = 'paused' WHERE id = $1", [turn.scopeId])
  rig.tool = () => Promise.reject(new Error('The tool must not be called.'))
  rig.model = () => say('never')
  await expect(callTool(turn, 'toolu_1', 0)).rejects.toMatchObject({ type: 'scope-inactive', nonRetryable: true })
  await expect(callModel(turn, 2)).rejects.toMatchObject({ type: 'scope-inactive', nonRetryable: true })
})
